#!/usr/bin/env bash
# Writes what fuzzing begins with into seeds/<target>/: the golden bytes of the tests, so that a target is
# deep inside its format from the first second. A target without seeds begins with nothing, and works.
set -euo pipefail
cd "$(dirname "$0")"
golden=../model/tests/golden

# The text after `<name> = ` in a golden file.
line() { sed -n "s/^$2 = //p" "$golden/$1.txt"; }

# Hexadecimal as bytes.
bytes() { printf '%b' "$(sed 's/../\\x&/g' <<<"$1")"; }

# All texts of a golden file, one per line.
texts() { sed -n 's/^[^#].* = //p' "$golden/$1.txt"; }

rm -rf seeds
mkdir -p seeds/{batch,body,control,cursor,envfile,frame,join,message,name,raft_log,record,relay,token}

number=0
while read -r text; do
    number=$((number + 1))
    printf '%s' "$text" >"seeds/name/$number"
done < <(texts ids; printf '%s\n' app/db a-b_c.0 .. text/plain)

for name in 'plain version' 'full version' marks; do
    bytes "$(line records "$name")" >"seeds/record/${name// /-}"
done

for name in plain 'with a key'; do
    bytes "$(line issues "$name")" >"seeds/token/${name// /-}"
done
printf '%s' "$(line issues 'opaque token')" >seeds/token/opaque
printf '%s' '-12.50e+3' >seeds/token/number
printf '/a/*/b~1c\n{"a":[{"b/c":1.10},{"b/c":"x"}],"d":1e400}' >seeds/token/document

# A command ends with its action, so each action of the golden file can take the place of that one.
command=$(line commands command)
head=${command%"$(line commands 'remove caller')"}
batch=''
number=0
while read -r action; do
    number=$((number + 1))
    bytes "820181$head$action" >"seeds/batch/$number"
    batch+=$head$action
done < <(texts commands | sed 1,3d)
# All of them in one batch of two hundred entries at most: a list with its length in one byte.
bytes "820198$(printf '%02x' "$number")$batch" >seeds/batch/all

# As in net/tests/golden.rs.
bytes "6376686900010100$(printf 'c1%.0s' {1..16})" >seeds/frame/peer
bytes "6376686900010000$(printf '00%.0s' {1..16})" >seeds/frame/stranger
bytes 0001000004 >seeds/frame/request
bytes 0000012c00 >seeds/frame/answer
bytes 0000000201 >seeds/frame/refusal
bytes "$(cat ../store/src/log/golden/frame.hex)0000" >seeds/raft_log/two_entries

# As in src/merge/golden/messages.txt and issues.txt.
number=0
while read -r text; do
    number=$((number + 1))
    bytes "${text#*: }" >"seeds/message/$number"
done < <(cat ../src/merge/golden/messages.txt ../src/merge/golden/issues.txt)

# As in src/node/golden/enrolment.txt, and the questions and answers of src/node/whereabouts.rs and clocks.rs.
printf '%s' "$(line ids 'join token')" >seeds/join/token
number=0
while read -r text; do
    number=$((number + 1))
    bytes "${text#*: }" >"seeds/join/$number"
done <../src/node/golden/enrolment.txt
bytes 8201676d656d62657273 >seeds/control/members
bytes "820181825820$(printf '01%.0s' {1..32})6a5b3a3a315d3a38343031" >seeds/control/whereabouts
bytes 82016474696d65 >seeds/control/time
bytes 82011b000001a3185c5000 >seeds/control/clock
# As in src/relay/golden/messages.txt.
number=0
while read -r text; do
    number=$((number + 1))
    bytes "${text#*: }" >"seeds/relay/$number"
done <../src/relay/golden/messages.txt

envfile() { printf '%b' "$2" >"seeds/envfile/$1"; }
envfile lines '# c\nexport A=1 # d\r\nB="x\\\\n$C"\n\nC=`it`\nD='"'"'${x:-y}\nz'"'"''
envfile calls 'A=secret(a/b@2#k)secret(c)\nB="x:secret(d)@h"\nC=secret\\\\(x) enc\\\\(y)\n'
envfile enc 'A=enc(a)\na=1\nB=enc(b=x\\\\)y)\n'

body() { printf '%s' "$2" >"seeds/body/$1"; }
body create '{"name":"app/db","value":"v","content_type":"text/plain","labels":{"env":"prod"},"description":"d","expires_at":"2030-01-01T00:00:00.000Z","owner":"dev"}'
body base64 '{"name":"a","value_base64":"AAEC"}'
body patch '{"labels":{"env":null,"a":"b"},"description":null}'
body versions '{"versions":[1,"0000000000000000000000000000000000000000000000000000000000000000"]}'
body tokenize '{"document":{"a":[1.10]},"fields":["/a/*",{"pointer":"/b","format":"digits_last4","type":"card"}]}'
body detokenize '{"tokens":["tok_1_00000000000000000000000000000000",{"token":"123456","format":"digits","type":"n","epoch":2}],"epoch":1}'
body fields '{"fields":[{"pointer":"/a","format":"opaque","type":null}]}'
body epoch '{"activate":2}'
body rollback '{"version":1}'
body caller '{"name":"web","role":"member","expires_at":null}'
body env '{"content":"A=enc(a)","values":{"a":"1"}}'
body expand '{"content":"A=secret(a)","format":"json"}'
body grant '{"prefix":"app/","grantee":"web","access":"read"}'
printf '%s' 'prefix=app%2F&label=a:b&limit=10&cursor=AXNhcHAvZGI' >seeds/cursor/query
printf '%s' 'AXNhcHAvZGI' >seeds/cursor/secret
