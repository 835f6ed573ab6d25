// The user's end of a job that has a terminal of its own: relays between the user's terminal (or
// whatever standard input and output are) and the job's, as long as this process is in the
// foreground. The user's terminal gets its own modes back at the end, when ^Z stops the job, and,
// by the keeper, if this process is killed. Main thread only; blocks all signals.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/base/result.h"
#include "runtime/job/job_terminal.h"

namespace ck::job {

enum class Redraw {
  kAuto,   // full-screen programs and line editors: by a change of the window's size and back
  kWinch,  // SIGWINCH to the foreground process group
  kNone,
};
Result<Redraw> parse_redraw(std::string_view text);

// The terminal of a job whose keeper says that it has ended with `status`: on another host, where
// it has gone to. None: that is its end.
using Elsewhere =
    std::function<std::unique_ptr<JobTerminal>(const std::string& job_name, int status)>;

struct ClientOptions {
  std::string tool;  // begins its messages
  std::string name;  // of the job, if it is known already
  std::unique_ptr<JobTerminal> job;
  bool redraw = false;  // the program has drawn its screen before
  Redraw how = Redraw::kAuto;
  bool end_of_input = false;  // that of standard input, if it is no terminal, is typed at the job
  Elsewhere elsewhere;        // may be empty
};

struct ClientOutcome {
  int status = 0;      // exit status: the job's if it has ended
  bool ended = false;  // else this client was told to leave, or the user's terminal has gone
};
Result<ClientOutcome> run_terminal_client(ClientOptions options);

}  // namespace ck::job
