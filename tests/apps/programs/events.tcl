# tclsh: an event loop with timers, a TCP server and clients in one process, file events on command
# pipelines, exec, coroutines. Argument: rounds.
set rounds [lindex $argv 0]
set done 0

proc serve {channel address port} {
  fconfigure $channel -buffering line -blocking 0
  fileevent $channel readable [list answer $channel]
}
proc answer {channel} {
  if {[gets $channel line] >= 0} {
    puts $channel [expr {$line * $line % 1009}]
  } elseif {[eof $channel]} {
    close $channel
  }
}
proc client {number} {
  global rounds port done
  set channel [socket 127.0.0.1 $port]
  fconfigure $channel -buffering line -blocking 0
  fileevent $channel readable [info coroutine]
  set sum 0
  for {set i 0} {$i < $rounds * 40} {incr i} {
    puts $channel [expr {$number * 1000 + $i}]
    while {[gets $channel line] < 0} yield
    set sum [expr {($sum * 31 + $line) % 1000003}]
  }
  close $channel
  puts "client $number: $sum"
  incr done
}
proc command {number} {
  global rounds done
  for {set i 0} {$i < $rounds} {incr i} {
    set pipe [open "| seq [expr {$i * 10}] | sort -r | head -n 3" r]
    fconfigure $pipe -blocking 0
    fileevent $pipe readable [info coroutine]
    set text {}
    while {![eof $pipe]} {
      yield
      append text [read $pipe]
    }
    fconfigure $pipe -blocking 1
    catch {close $pipe}
    append all [join $text ,] " "
    after 2 [info coroutine]
    yield
  }
  puts "command $number: [string length $all] [exec cksum << $all]"
  incr done
}

set server [socket -server serve -myaddr 127.0.0.1 0]
set port [lindex [fconfigure $server -sockname] 2]
coroutine c1 client 1
while {$done < 1} {vwait done}
coroutine c2 command 1
while {$done < 2} {vwait done}
for {set i 0} {$i < $rounds} {incr i} {puts [exec echo $i | tr 0-9 a-j]}
puts [exec sh -c "kill -0 [pid] && echo alive"]
