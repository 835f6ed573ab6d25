// What waits in a pty, in both directions. Reading takes it away, so whoever saves the queues of a
// pty that lives on puts them back. Nobody else may use the pty meanwhile. Any thread; not where
// the pty is the controlling terminal and this process in its background.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/terminal/pty.h"

namespace ck::terminal {

// Typed and not read yet.
struct Input {
  // An unfinished line included. An end of file (^D) among it is a NUL, as the kernel keeps it.
  std::string queued;
  // Typed behind that. The line discipline had no room and has not looked at it: it may hold keys
  // that mean something.
  std::string behind;
};
Result<Input> take_input(int master, int slave);
// Puts `queued` back, without echo or signals, or fails. Lines end where they ended if `modes`,
// which the terminal has afterwards, are those under which it was taken. Then types `behind`;
// returns how much of that found room. All does that was taken from a pty just before.
Result<std::size_t> put_input(int master, const Modes& modes, const Input& input);

// Written by slaves and not read from the master yet. Not in packet mode.
Result<std::string> take_output(int master);
struct PutOutput {
  bool halted = false;  // by ^S; is so still
};
Status halt_output(int master, int slave);
Result<PutOutput> put_output(int master, int slave, const std::string& bytes);

}  // namespace ck::terminal
