// What a job's keeper says to those that connect to it: the terminal clients, the supervisor, and
// who has one question. One packet a message (SOCK_SEQPACKET), descriptors beside it. All are of
// one version of ckrun and one host. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::job::keeper {

enum class Type : std::uint32_t {
  // A client says
  kAttach =
      1,  // it wants the terminal; answered with kMaster. Beside it may be its own terminal, whose
          // modes (text: terminal::Modes) the keeper restores if the client is killed
  kHeld,  // the answer to kHold: it types nothing any more. Beside it may be a file (as_file) of
          // what it was about to type, which the keeper types now
  kGoOn,  // the user has continued what ^Z had stopped
  kSignal,      // value: for the program
  kRedraw,      // the program shall draw its screen: SIGWINCH to the foreground
  kBackground,  // it is in the background of the user's terminal. value: a signal for the job's
                // foreground group; 0: SIGTTIN if one of that waits for a key
  kBye,         // it leaves the terminal
  // The keeper says to a client
  kMaster,  // the program runs; beside it the master. text: the job's name
  kHold,    // type nothing until kGo; answered with kHeld. kGo comes when the keeper has typed all
  kGo,
  kStopped,  // job control has stopped the program. value: the signal
  kLeave,    // value: 0: it was asked for; 1: another terminal takes over
  kEnded,    // value: exit status; what the program wrote is in the terminal. text: what to say
  kTell,     // text: a line for the user
  // A supervisor says (also kStopped, kTell, kEnded); it hears kGoOn, kSignal, kRedraw and
  // kBackground
  kSupervise,  // it looks after the job from now on. text: the job's name
  kUse,        // beside it: another master. The keeper's own goes
  kType,       // beside it a file of what is to be typed before anything else
  kRun,        // the program runs
  kThaw,       // it runs on after a kPeek of value 1
  // Others ask
  kPeek,        // what is typed and not read; answered with kInput. value 1: the client types, and
                // reads, nothing more until kThaw
  kInput,       // text: what is queued; beside it a file of what is typed behind that
  kMasterOnly,  // answered with kMaster
  kCaller,      // to a terminal's server (driver/terminal): beside it the way to its user; kDone
  kDetach,      // the client shall leave; answered with kDone. value: whether there was one
  kDone,
};

struct Message {
  Type type = Type::kDone;
  std::int32_t value = 0;
  std::string text;
  std::vector<UniqueFd> fds;
};

inline constexpr std::size_t kLongestText = 60'000;

// The keeper's abstract socket, by its pid.
std::string socket_name(std::uint64_t pid_namespace, RealPid keeper);
Result<UniqueFd> listen(const std::string& name);
// kNotFound, if there is no such keeper; kPermission, if it is another user's.
Result<UniqueFd> connect(RealPid keeper);
// The same for whatever listens on a socket of that name.
Result<UniqueFd> connect(const std::string& socket_name, const std::string& what);
// Whether the other end is this user's, or root's.
bool is_friend(int socket);

Status send(int socket, Type type, std::int32_t value = 0, const std::string& text = {},
            std::span<const int> fds = {});
// Waits; kNotFound if the other end is closed.
Result<Message> receive(int socket);
// What may be longer than a message: a file in memory, and its content.
Result<UniqueFd> as_file(const std::string& bytes);
Result<std::string> from_file(int fd);
// Sends a question and waits for its answer.
Result<Message> ask(RealPid keeper, Type question, std::int32_t value = 0);

}  // namespace ck::job::keeper
