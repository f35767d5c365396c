module covault/docker_reader

go 1.19

require github.com/docker/cli v29.9.3+incompatible

require gotest.tools/v3 v3.5.2 // indirect
