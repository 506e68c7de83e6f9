#!/bin/sh
# Plays GitOps on this machine: see README.md. Needs git, curl and omniroute on the PATH; leaves nothing behind.
set -eu

PORT="${PORT:-20129}"
url="http://127.0.0.1:$PORT"
home="$(mktemp -d)"
export GIT_AUTHOR_NAME=Engineer GIT_AUTHOR_EMAIL=engineer@example.com
export GIT_COMMITTER_NAME=Engineer GIT_COMMITTER_EMAIL=engineer@example.com
unset OMNIROUTE_CONFIG REQUIRE_API_KEY
gateway=""
trap 'if [ -n "$gateway" ]; then kill "$gateway"; wait "$gateway" || true; fi; rm -rf "$home"' EXIT

say() { printf '\n== %s\n' "$1"; }

# Which model answers for `assistant` now.
answers() {
    curl -s "$url/v1/chat/completions" -H 'Content-Type: application/json' -D - -o "$home/answer" \
        -d '{"model": "assistant", "messages": [{"role": "user", "content": "Hello"}]}' |
        tr -d '\r' | sed -n 's/^x-omniroute-model: //p'
}

# Waits until a command succeeds.
until_true() {
    for _ in $(seq 100); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    printf 'never came true: %s\n' "$*" >&2
    return 1
}

# Whether `omniroute status` exits with this code, and what it prints.
status_is() {
    wanted="$1" code=0
    shift
    omniroute status --url "$url" "$@" || code=$?
    [ "$code" -eq "$wanted" ]
}
runs() { [ "$(answers)" = "$1" ]; }

say "A repository with a configuration"
git init --quiet --bare --initial-branch=main "$home/remote.git"
git clone --quiet "$home/remote.git" "$home/engineer" 2>/dev/null
cd "$home/engineer"
git checkout --quiet -b main
printf '.omniroute/\n*.lock\n' > .gitignore
cat > omniroute.yaml <<'YAML'
version: 1
server: {data_dir: .omniroute}
auth: {require_login: false}
providers: {demo: {}}
aliases:
  assistant: demo/echo  # what everybody asks for
YAML
git add --all
git commit --quiet -m "Begin"
git push --quiet origin main

say "A gateway serves from a checkout of it"
git clone --quiet "$home/remote.git" "$home/deployed"
(cd "$home/deployed" && exec omniroute serve --config omniroute.yaml --port "$PORT" 2> "$home/log") &
gateway=$!
until_true curl -sf "$url/readyz"
status_is 0 --strict
echo "assistant is $(answers)"

say "A change: a branch, checked and planned"
git checkout --quiet -b quicker
sed -i 's|demo/echo|demo/agent|' omniroute.yaml
omniroute validate --config omniroute.yaml --strict
omniroute plan --config omniroute.yaml --against git:main
git commit --quiet --all -m "Let the agent assist"

say "Merged, and deployed by a pull: the gateway reloads by itself"
git checkout --quiet main
git merge --quiet --no-ff -m "Merge quicker" quicker
git push --quiet origin main
git -C "$home/deployed" pull --quiet
until_true runs agent
status_is 0 --strict
echo "assistant is $(answers)"

say "A broken edit changes nothing, and is told"
sed -i 's|demo/agent|demmo/agent|' "$home/deployed/omniroute.yaml"
until_true status_is 4
status_is 4
echo "assistant is still $(answers)"

say "Drift: somebody edits the checkout by hand"
git -C "$home/deployed" checkout --quiet -- omniroute.yaml
echo "# quick fix" >> "$home/deployed/omniroute.yaml"
until_true status_is 0
status_is 3 --strict
git -C "$home/deployed" checkout --quiet -- omniroute.yaml
until_true status_is 0 --strict

say "Rolled back as it came: by a commit"
git revert --no-edit -m 1 HEAD >/dev/null
git push --quiet origin main
git -C "$home/deployed" pull --quiet
until_true runs echo
status_is 0 --strict
echo "assistant is $(answers)"

say "All as it should be"
