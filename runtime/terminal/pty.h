// Pseudo-terminals and what terminals are asked and told. Modes and window of a pty are the
// slave's, also where they are asked of its master. Any thread.
#pragma once

#include <asm/termbits.h>
#include <sys/ioctl.h>

#include <cstdint>
#include <optional>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::terminal {

using Modes = termios2;
using Window = winsize;

// Both of a character device, as fstat(2) shows them.
bool is_pty_slave(std::uint64_t device);
bool is_pty_master(std::uint64_t device);
unsigned slave_number(std::uint64_t device);

// A new pair, unlocked. Not blocking, for whoever holds it must not hang on it.
Result<UniqueFd> open_master();
// The same with the number that is wanted, or none if somebody has it.
Result<std::optional<UniqueFd>> open_master(unsigned number);
Result<unsigned> number_of(int master);
// The other end, wherever its name leads: `flags` as for open(2). Never becomes the controlling
// terminal. The pair must not be locked.
Result<UniqueFd> open_slave(int master, int flags);

Result<Modes> modes_of(int terminal);
// At once, unread input and output in the queue stay.
Status set_modes(int terminal, const Modes& modes);
// As cfmakeraw(3) makes them.
Modes raw(Modes modes);
// Lines with echo and signals; characters and speeds as they are.
Modes cooked(Modes modes);
Result<Window> window_of(int terminal);
// The foreground process group hears of it (SIGWINCH) if it is another than before.
Status set_window(int terminal, const Window& window);

}  // namespace ck::terminal
