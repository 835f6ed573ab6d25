// What a child process writes: for work that may block, or that another user does. The daemon's
// thread only.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "driver/daemon/task.h"

namespace ck::daemon {

// Runs `work` in a forked child, with the descriptor of a pipe, and returns what it wrote there if
// its exit status was 0. Killed when `patience` is over or it writes more than `limit`. `what` is
// for errors.
Task<Result<std::string>> child_output(std::function<int(int)> work, std::string what,
                                       std::size_t limit, milliseconds patience);

// In a forked child: all of it, into the pipe. False: nobody reads any more.
bool write_all(int fd, const std::string& bytes);

// In a forked child: all but these (-1: none) and the standard streams. No connection, lock or port
// outlives the daemon in it.
void close_all_but(std::array<int, 3> kept);

// In a forked child: as they are in a program that was just started.
void reset_signals();

// The standard output of a program.
Task<Result<std::string>> program_output(std::vector<std::string> command, milliseconds patience);

}  // namespace ck::daemon
