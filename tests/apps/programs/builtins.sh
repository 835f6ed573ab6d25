# Computes with the shell's builtins alone: arrays, arithmetic, strings, functions, here-strings.
declare -A table
seed=1 sum=0
mix() { seed=$(( (seed * 1103515245 + 12345) % 2147483648 )); }
for (( i = 0; i < $1; i++ )); do
  mix
  key=k$(( seed % 997 ))
  table[$key]+=$(( seed % 10 ))
  value=${table[$key]}
  (( ${#value} > 30 )) && { (( sum = (sum * 31 + 10#${value:3:6}) % 1000003 )); table[$key]=1; }
  if (( i % 200 == 0 )); then read -r word rest <<< "$value $i"; [[ $rest == "$i" ]] || echo "wrong: $rest"; fi
done
printf 'keys %d sum %d\n' "${#table[@]}" "$sum"
