// Reads an env file as `docker run --env-file` does, by docker/cli's own reader, and prints what it read as one JSON
// object. Started by envfile.py.
package main

import (
	"encoding/json"
	"log"
	"os"
	"strings"

	"github.com/docker/cli/pkg/kvfile"
)

func main() {
	lines, err := kvfile.ParseFromReader(os.Stdin, nil)
	if err != nil {
		log.Fatal(err)
	}
	read := map[string]string{}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		read[key] = value
	}
	if err := json.NewEncoder(os.Stdout).Encode(read); err != nil {
		log.Fatal(err)
	}
}
