# Pipelines of real programs, one after the other and two at once. Argument: how many rounds.
set -e -o pipefail

numbers() {
  awk -v n="$1" -v seed="$2" 'BEGIN { x = seed
    for (i = 0; i < n; i++) { x = (x * 1103515245 + 12345) % 2147483648; print x, "item", i % 97 } }'
}

for ((round = 1; round <= $1; round++)); do
  numbers 60000 "$round" | sort -n | xz -2 -c | tee "copy.$round.xz" | cksum
  xz -dc "copy.$round.xz" | sort -k3,3n -k1,1n | uniq -c -f2 | tee counts | tail -n 1
  cksum <counts
  first=$(numbers 20000 7 | md5sum) && (numbers 20000 8 | grep -c 'item 9' || true)
  echo "${first%% *}"
  numbers 15000 9 | sort -r >sorted.a &
  numbers 15000 10 | sort -r >sorted.b &
  wait
  comm -3 <(sort sorted.a) <(sort sorted.b) | cksum
done
