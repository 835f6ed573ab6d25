// Between ckd's step (start_step.h) and the `ckrun --by-ckd` that it starts.
#pragma once

#include <cstddef>

namespace ck::driver::migrate {

// A socket of packets: protocol::wire::UserTerminal comes, and protocol::wire::Started goes back,
// from the process that supervises the job. Its end of file: there is no such process.
inline constexpr int kReportFd = 3;
// The write end of a pipe: gets a byte once the job's terminal can be called.
inline constexpr int kListensFd = 4;
inline constexpr std::size_t kLongestReport = 32u << 10;

}  // namespace ck::driver::migrate
