# Makes a git repository of many commits, clones it through a pipe, packs it, checks it.
# Argument: how many commits.
set -e
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A
export GIT_COMMITTER_EMAIL=a@example.org GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
rm -rf source clone
git init -q -b main source
for ((i = 1; i <= $1; i++)); do
  mkdir -p "source/part$((i % 7))"
  seq "$i" $((i + 2000)) >"source/part$((i % 7))/file$((i % 13))"
  git -C source add -A
  GIT_AUTHOR_DATE="@$((1000000000 + i)) +0000" GIT_COMMITTER_DATE="@$((1000000000 + i)) +0000" \
    git -C source commit -q -m "commit $i"
done
git -C source rev-parse HEAD
git clone -q "file://$PWD/source" clone
git -C clone gc -q --aggressive --prune=now
git -C clone fsck --full --strict 2>&1
git -C clone log --format='%H %s' | tail -n 3
git -C clone archive HEAD | sha1sum
