# Hashes, regular expressions, sorting and closures.
use strict;
use warnings;
my ($rounds) = @ARGV;
my ($seed, %count, @kept) = (1);
for my $round (1 .. $rounds) {
    my @words = map { $seed = ($seed * 1103515245 + 12345) % 2147483648; sprintf "w%05d", $seed % 5000 } 1 .. 2000;
    my $text = join " ", @words;
    $count{$1}++ while $text =~ /\b(w\d*[02468])\b/g;
    push @kept, (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[$round % 7];
    my $longest = sub { my $n = shift; length $n } -> ($text);
    $seed = ($seed + $longest) % 2147483648;
}
my $sum = 0;
$sum = ($sum * 31 + ord) % 4294967291 for split //, join ",", @kept;
print scalar(keys %count), " words, digest $sum\n";
