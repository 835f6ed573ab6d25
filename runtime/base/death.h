// A process that ends as another did. Shells look at how a command has ended, not at its exit
// status alone: after ^C they go on with the script if it has exited, and end it too if SIGINT has
// killed it (bash(1), SIGNALS). Any thread.
#pragma once

namespace ck {

// Beside an exit status of 128+N in this project's own hands: the program died of signal N, and who
// runs it is to do so too.
inline constexpr int kBySignal = 0x100;

// The signals that terminals send: those after which it makes a difference.
bool dies_of(int signal);
// The status to exit with. With kBySignal it does not return, unless the signal cannot kill this
// process; no core is dumped.
int end_as(int status);

}  // namespace ck
