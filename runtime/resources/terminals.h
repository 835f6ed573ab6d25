// The terminals of a job: the one that it was started on, one that ckrun made for it, and those
// whose masters its own processes have. Their state is in Manifest.terminals; open files of them
// are of the kinds "stream" and "pty". Engine thread only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/terminal/pty.h"
#include "runtime/terminal/queues.h"

namespace ck::resources {

// The job's own terminal, whose master its keeper has.
struct OwnTerminal {
  UniqueFd master;
  // What was typed at it and not read yet; the terminal keeps it. Called during a checkpoint.
  std::function<Result<terminal::Input>()> peek_input;
};

// Names the terminals that the job's open files lead to and that control its processes; the records
// of the processes are there already. First of all kinds: they ask terminal_of().
Status name_terminals(CaptureSession& session, image::Manifest& manifest, const OwnTerminal* own);
// Their state. Last, for reading the queues of a pty is the nearest to using it.
Status capture_terminals(CaptureSession& session, image::Manifest& manifest,
                         const OwnTerminal* own);

// The index in Manifest.terminals, plus 1, of an open file of a terminal; 0: it is of none.
std::uint32_t terminal_of(const CaptureSession& session, const OpenFile& file);

// The pseudo-terminals of a restart, of both kinds.
class RestoredTerminals {
 public:
  explicit RestoredTerminals(const image::Manifest& manifest);

  bool any() const;
  // The one that ckrun makes for the job; -1: none. What holds its master passes it on.
  int own() const { return own_; }
  void set_own(UniqueFd master);
  // Makes those of the job's own processes, with the numbers that they had: in this process, or in
  // `there`, whose /dev/pts nobody else uses. Before any process has one for its terminal: a change
  // of the window would reach it.
  Status make(proc::Mailbox* there);

  // They are those of a later image of the job, in the same places.
  Status become(const image::Manifest& later);

  bool has(std::uint32_t terminal) const;    // a place in the manifest, as are the next
  int master(std::uint32_t terminal) const;  // ours
  Result<UniqueFd> slave(std::uint32_t terminal, int flags) const;
  // Modes and what waits in the queues. Before open files are made, whose O_ASYNC would tell of it.
  Status fill();
  // What was typed at the one that ckrun makes and finds no room in it: to be typed first.
  const std::string& own_rest() const { return own_rest_; }
  // What would keep others from opening them: when all open files are there.
  Status finish(std::vector<std::string>& warnings);

 private:
  Result<UniqueFd> make_here(unsigned number) const;
  Result<UniqueFd> make_there(proc::Mailbox& there, unsigned number) const;
  Status set_window(std::uint32_t terminal) const;
  Status fill(std::uint32_t terminal);
  Status close(std::uint32_t terminal);
  template <typename Step>
  Status each(Step step);

  const image::Manifest* manifest_;
  std::vector<UniqueFd> masters_, slaves_;
  int own_ = -1;
  std::string own_rest_;
};

}  // namespace ck::resources
