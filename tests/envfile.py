"""What `.env` files come to, as other readers see it; started by envfile.sh with the folder of a running vault.

Every value that the vault writes into a file must be read back exactly by each reader, and every value that must be
writable is. Values are drawn from COVAULT_SEED.
"""

import io
import json
import os
import random
import subprocess
import sys
import urllib.error
import urllib.request

import dotenv
import yaml

scratch = sys.argv[1]
ready = json.load(open(f"{scratch}/ready"))
url, token = ready["nodes"][0]["url"], ready["member_token"]
seed = int(os.environ.get("COVAULT_SEED") or random.SystemRandom().randrange(2**32))
print(f"envfile: COVAULT_SEED={seed}")
chance = random.Random(seed)

USUAL = [
    "", " ", "p", "two words", " blanks around ", "p#w", "p #w", "p$w", "$HOME", "it's", 'say "hi"', "C:\\dir", "a=b",
    '{"user": "app", "pw": "x#y$z"}', "-----BEGIN KEY-----\nMIIB/+==\n-----END KEY-----\n", "é ü 漢字 🔑", "\ttab\t",
    "\n", "\n\n#no comment\n", "`tick`", "x\u2028y\u0085z\ufeff", "\u00a0around\u00a0", "true", "null", "~", "0x1f",
    "export A=1", "secret(x) enc(y)", "!tag &anchor *alias", "- a: b", "%d|>", "x" * 65536, "it's " * 13000,
]
HARD = ["it's \"both\"", "ends with \\", "\\\\", "cr\rlf", "${HOME}", "a'${x:-y}", "'$x", "\r\n"]
PIECES = ["'", '"', "`", "$", "{", "}", "\\", "#", " ", "\n", "\t", "a", "=", ":", "-", "é", "🔑", "(", ")", "%", "\r",
          "\x01", "\x7f"]


def drawn():
    return "".join(chance.choice(PIECES) for _ in range(chance.randrange(1, 9)))


def ask(path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {
        "Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    try:
        return json.load(urllib.request.urlopen(request))
    except urllib.error.HTTPError as refused:
        return json.load(refused)


def differences(reader, seen, wanted):
    for key, value in wanted.items():
        if seen.get(key) != value:
            shown = repr(value if len(value) < 80 else value[:80] + "…")
            sys.exit(f"envfile: {reader} reads {key} as {seen.get(key)!r:.80}, not as {shown}")
    print(f"envfile: {reader} reads {len(wanted)} values back exactly")


def lines(values, quotes=("", "'", '"', "`")):
    put = lambda at: quotes[at % len(quotes)]
    return "# it's\n" + "".join(f"{key}={put(at)}secret(v/{key}){put(at)}\n" for at, key in enumerate(values))


def expanded(values, form):
    answer = ask("/v1/env/expand", {"content": lines(values), "format": form})
    if "content" not in answer:
        sys.exit(f"envfile: {form}: {answer}")
    return answer["content"]


def portable(values, form):
    """Those that the format holds; what it does not hold is listed all at once."""
    answer = ask("/v1/env/expand", {"content": lines(values), "format": form})
    refused = {one["name"].removeprefix("v/") for one in answer.get("references", [])}
    return {key: value for key, value in values.items() if key not in refused}


def docker(text):
    done = subprocess.run([f"{scratch}/docker_reader"], check=True, input=text.encode(), stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def shell(text):
    open(f"{scratch}/env.sh", "w", newline="").write(text)
    done = subprocess.run(["sh", "-c", '. "$1"; exec env -0', "sh", f"{scratch}/env.sh"], env={"PATH": os.environ["PATH"]},
                          check=True, stdout=subprocess.PIPE)
    return dict(one.split("=", 1) for one in done.stdout.decode().split("\0") if one)


def javascript(text):
    open(f"{scratch}/.env", "w", newline="").write(text)
    script = "console.log(JSON.stringify(require('dotenv').parse(require('fs').readFileSync(process.argv[1]))))"
    done = subprocess.run(["node", "-e", script, f"{scratch}/.env"], check=True, stdout=subprocess.PIPE,
                          env={**os.environ, "NODE_PATH": f"{scratch}/js/node_modules"})
    return json.loads(done.stdout)


def read_alike():
    """What the vault takes a value for that stands in a file is what each reader takes it for that reads it."""
    pieces = [piece for piece in PIECES if piece not in "`\r"] + ["n", "r", "t", " #", "secret\\(", "$A", "\u00a0"]
    text = lambda: "".join(chance.choice(pieces) for _ in range(chance.randrange(0, 7)))
    quote = lambda mark: mark + text() + mark
    files = [f"A={quote(chance.choice(['', chr(39), chr(34)]))}{chance.choice(['', ' # c'])}\n" for _ in range(1500)]
    seen = {}
    for file in files:
        answer = ask("/v1/env/expand", {"content": file, "format": "json"})
        if "content" in answer and "secret" not in file:
            seen[file] = json.loads(answer["content"])
    script = "const {parse} = require('dotenv'); process.stdin.setEncoding('utf8'); let all = ''; " \
             "process.stdin.on('data', part => all += part); " \
             "process.stdin.on('end', () => console.log(JSON.stringify(JSON.parse(all).map(one => parse(one)))))"
    done = subprocess.run(["node", "-e", script], check=True, input=json.dumps(list(seen)).encode(),
                          stdout=subprocess.PIPE, env={**os.environ, "NODE_PATH": f"{scratch}/js/node_modules"})
    for (file, wanted), script in zip(seen.items(), json.loads(done.stdout)):
        python = {key: value for key, value in dotenv.dotenv_values(stream=io.StringIO(file)).items() if value is not None}
        for reader, read in [("motdotla/dotenv", script), ("python-dotenv", python)]:
            if read and read != wanted:
                sys.exit(f"envfile: {reader} reads {file!r} as {read}, not as {wanted}")
    print(f"envfile: {len(seen)} of {len(files)} files are read alike by all that read them")


values = {f"K{at}": value for at, value in enumerate(USUAL + HARD + [drawn() for _ in range(400)])}
made = ask("/v1/env/encrypt", {
    "content": "".join(f"{key}=enc(v/{key})\n" for key in values),
    "values": {f"v/{key}": value for key, value in values.items()}})
assert len(made.get("created", [])) == len(values), made

carried = portable(values, "dotenv")
for at, value in enumerate(USUAL):
    assert f"K{at}" in carried, f"{value!r:.80} must be writable"
for at, value in enumerate(HARD, len(USUAL)):
    assert f"K{at}" not in carried, f"{value!r} cannot be read by all"
print(f"envfile: {len(carried)} of {len(values)} values can be written for all readers")
text = expanded(carried, "dotenv")
differences("motdotla/dotenv", javascript(text), carried)
differences("python-dotenv", dotenv.dotenv_values(stream=io.StringIO(text)), carried)
differences("Python's json", json.loads(expanded(values, "json")), values)
differences("PyYAML", yaml.safe_load(expanded(values, "yaml")), values)
differences("sh", shell(expanded(values, "shell")), values)
held = portable(values, "docker")
differences("docker/cli", docker(expanded(held, "docker")), held)
read_alike()
