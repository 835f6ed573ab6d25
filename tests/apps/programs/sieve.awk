# A table of strings and numbers that grows; the same for gawk and mawk.
BEGIN {
  seed = 1
  for (i = 1; i <= rounds; i++) {
    seed = (seed * 16807) % 2147483647
    key = "k" seed % 50000
    table[key] = table[key] substr("abcdefgh", seed % 8 + 1, 1)
    if (length(table[key]) > 40) { sum = (sum * 31 + length(table[key]) + seed) % 1000003; delete table[key] }
    if (table[key] ~ /a.*h$/) hits++
  }
  for (key in table) size++
  print size, hits, sum
}
