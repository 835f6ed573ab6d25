# Perl with children: workers over pipes, nested ones, open "-|", wait with statuses.
use strict;
use warnings;
$| = 1;

sub sum_of {
  my ($from, $to) = @_;
  my $sum = 0;
  $sum = ($sum * 31 + $_ * $_) % 1_000_003 for $from .. $to;
  return $sum;
}

my $rounds = shift @ARGV;
for my $round (1 .. $rounds) {
  my (@workers, %status);
  for my $number (0 .. 3) {
    pipe(my $reader, my $writer) or die;
    my $pid = fork() // die;
    if (!$pid) {
      close $reader;
      my $begin = $number * 30000 + $round;
      my $inner = open(my $child, '-|') // die;
      if (!$inner) { print sum_of($begin, $begin + 15000), "\n"; exit 0 }
      my $own = sum_of($begin + 15001, $begin + 30000);
      my $other = <$child>;
      close $child or die;
      print {$writer} "$number $own $other";
      close $writer;
      exit $number + 10;
    }
    close $writer;
    push @workers, [$pid, $reader];
  }
  for my $worker (@workers) { print "$round: ", readline($worker->[1]) }
  for (@workers) { my $pid = wait; $status{$pid} = $? >> 8 }
  print "$round: ", join(' ', map { $status{$_->[0]} } @workers), ' ', `echo from a shell`;
}
