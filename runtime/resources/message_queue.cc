// POSIX message queues: mq_open(3). The kernel has no way to look at messages: they are taken out
// and put back, in order.
#include "runtime/resources/message_queue.h"

#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <thread>

#include "runtime/proc/status.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

constexpr long kQueueFileSystem = 0x19800202;  // MQUEUE_MAGIC
constexpr std::string_view kDeleted = " (deleted)";
constexpr timespec kAtOnce{0, 0};

bool recognises(const CaptureSession&, const OpenFile& file) {
  struct statfs system {};
  return file.duplicate && ::fstatfs(file.duplicate.get(), &system) == 0 &&
         system.f_type == kQueueFileSystem;
}

// The queue by an open file of the engine's own, to be read and written.
Result<UniqueFd> reopen(int fd, const std::string& name) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  UniqueFd own(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!own) return sys_error("open message queue " + name);
  return own;
}

Result<std::vector<QueueState::Message>> take_all(int queue, std::size_t longest) {
  std::vector<QueueState::Message> messages;
  std::string buffer(longest, '\0');
  for (;;) {
    unsigned priority = 0;
    const ssize_t length = ::mq_timedreceive(queue, buffer.data(), longest, &priority, &kAtOnce);
    if (length < 0 && (errno == EAGAIN || errno == ETIMEDOUT)) return messages;
    if (length < 0) return sys_error("take a message out of a queue");
    QueueState::Message& message = messages.emplace_back();
    message.set_priority(priority);
    message.set_text(buffer.data(), static_cast<std::size_t>(length));
  }
}

using Messages = std::vector<QueueState::Message>;

// 0, or errno.
int put(int queue, const QueueState::Message& message) {
  const int result = ::mq_timedsend(queue, message.text().data(), message.text().size(),
                                    message.priority(), &kAtOnce);
  return result == 0 ? 0 : errno;
}

bool is_full(int error) {
  return error == EAGAIN || error == ETIMEDOUT;
}

void put_one_by_one(int queue, const Messages& messages) {
  for (const QueueState::Message& message : messages) {
    while (is_full(put(queue, message))) {
      pollfd room{queue, POLLOUT, 0};
      ::poll(&room, 1, -1);
    }
  }
}

// Somebody outside of the job has sent while the queue was empty, and it is full. The program that
// makes room stands still now: what is left goes in when it runs again. The thread is nobody's: it
// may wait until this process ends.
Status put_later(int queue, Messages messages) {
  UniqueFd own(::fcntl(queue, F_DUPFD_CLOEXEC, 0));
  if (!own) return sys_error("keep messages for a queue");
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([own = std::move(own), messages = std::move(messages)] {
    put_one_by_one(own.get(), messages);
  }).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return {};
}

Status put_all(int queue, const Messages& messages) {
  for (auto message = messages.begin(); message != messages.end(); ++message) {
    const int error = put(queue, *message);
    if (is_full(error)) return put_later(queue, Messages(message, messages.end()));
    if (error != 0) return sys_error("put a message into a queue", error);
  }
  return {};
}

// Who is to be told when a message comes to the empty queue (mq_notify(3)).
struct Registration {
  int notify = 0;  // SIGEV_
  int signal = 0;
  pid_t pid = 0;  // 0: nobody
};

int number_after(std::string_view text, std::string_view name) {
  const std::size_t at = text.find(name);
  int value = 0;
  if (at != text.npos)
    std::from_chars(text.data() + at + name.size(), text.data() + text.size(), value);
  return value;
}

// "QSIZE:129        NOTIFY:2    SIGNO:0    NOTIFY_PID:8260"
Result<Registration> read_registration(int queue) {
  char buffer[256];
  const ssize_t length = ::pread(queue, buffer, sizeof buffer, 0);
  if (length < 0) return sys_error("examine a message queue");
  const std::string_view text(buffer, static_cast<std::size_t>(length));
  return Registration{number_after(text, "NOTIFY:"), number_after(text, "SIGNO:"),
                      number_after(text, "NOTIFY_PID:")};
}

// The kernel does not show the value that a registration sends. A message that comes makes it send:
// the signal stays pending in its process, from where the value is taken.
class Told {
 public:
  Told(const CaptureSession& session, std::size_t process, Registration registration)
      : box_(*session.processes[process].mailbox),
        pid_(session.processes[process].pid),
        registration_(registration) {}

  Status check() const {
    if (registration_.notify == SIGEV_THREAD)
      return make_error(ErrorKind::kRefused, "a thread is to be told of its messages (mq_notify)");
    if (registration_.notify == SIGEV_NONE) return {};
    const proc::ProcessStatus status = CK_TRY(proc::read_status(pid_));
    const std::uint64_t pending = status.pending | status.shared_pending;
    if ((pending >> (registration_.signal - 1) & 1) == 0) return {};
    return make_error(ErrorKind::kTryAgain, "the signal that tells of its messages is pending")
        .that_passes();
  }

  Result<std::uint64_t> take_value() const {
    if (registration_.notify != SIGEV_SIGNAL) return 0;
    box_.clear();
    const auto set = box_.put_value(std::uint64_t{1} << (registration_.signal - 1));
    const auto info = box_.reserve(sizeof(siginfo_t));
    const auto time = box_.put_value(kAtOnce);
    box_.add(SYS_rt_sigtimedwait, set, info, time, sizeof(std::uint64_t));
    CK_TRY(box_.run());
    CK_TRY(box_.expect_all("take the signal of a message queue"));
    const auto signal = box_.value_at<siginfo_t>(info);
    box_.clear();
    return reinterpret_cast<std::uint64_t>(signal.si_value.sival_ptr);
  }

 private:
  proc::Mailbox& box_;
  RealPid pid_;
  Registration registration_;
};

Status register_again(proc::Mailbox& box, int fd, const QueueState& state) {
  sigevent event{};
  event.sigev_notify = state.notify();
  event.sigev_signo = state.notify_signal();
  event.sigev_value.sival_ptr = reinterpret_cast<void*>(state.notify_value());
  box.clear();
  CK_TRY(box.call("ask to be told of messages", SYS_mq_notify, fd, box.put_value(event)));
  return {};
}

int descriptor_in(const CaptureSession& session, const OpenFile& file, std::size_t process) {
  for (std::size_t other : session.of_inode(file.status.st_dev, file.status.st_ino))
    for (const Holder& holder : session.files[other].holders)
      if (holder.process == process) return holder.fd;
  return -1;
}

Status capture_told(const CaptureSession& session, const OpenFile& file, int queue,
                    Registration registration, const std::vector<QueueState::Message>& messages,
                    QueueState& state) {
  const std::optional<std::size_t> process = session.find_process(RealPid(registration.pid));
  const int fd = process ? descriptor_in(session, file, *process) : -1;
  if (fd < 0) return put_all(queue, messages);
  state.set_notify(registration.notify);
  state.set_notify_signal(registration.signal);
  state.set_notify_pid(session.processes[*process].record->pid());
  const std::vector<QueueState::Message> bell(1);
  CK_TRY(put_all(queue, messages.empty() ? bell : messages));
  state.set_notify_value(CK_TRY(Told(session, *process, registration).take_value()));
  if (messages.empty()) CK_TRY(take_all(queue, static_cast<std::size_t>(state.longest())));
  return register_again(*session.processes[*process].mailbox, fd, state);
}

// Before anything is taken out.
Status check_registration(const CaptureSession& session, Registration registration, bool empty) {
  if (registration.pid == 0 && registration.notify == 0) return {};
  const auto process = session.find_process(RealPid(registration.pid));
  if (process) return Told(session, *process, registration).check();
  if (empty || registration.pid == 0) return {};
  return make_error(ErrorKind::kRefused,
                    "a process outside of the job is to be told of its messages (mq_notify)");
}

bool has_open(const std::filesystem::path& process, const struct stat& queue) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(process / "fd", none)) {
    struct stat status {};
    if (::stat(entry.path().c_str(), &status) == 0 && status.st_dev == queue.st_dev &&
        status.st_ino == queue.st_ino)
      return true;
  }
  return false;
}

// As far as we may see.
bool is_open_outside(const CaptureSession& session, const struct stat& queue) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", none)) {
    const std::string name = entry.path().filename();
    const pid_t pid = number_after(name, "");
    if (pid == 0 || pid == ::getpid() || session.find_process(RealPid(pid))) continue;
    if (has_open(entry.path(), queue)) return true;
  }
  return false;
}

// Whoever waits for room in it sends at once when a message is taken out, and the queue has no room
// for that message again.
Status check_room(const CaptureSession& session, const OpenFile& file, const mq_attr& now) {
  if (now.mq_curmsgs < now.mq_maxmsg || !is_open_outside(session, file.status)) return {};
  return make_error(ErrorKind::kTryAgain,
                    "it is full, and a process outside of the job has it open too",
                    "try again when messages have been read from it")
      .that_passes();
}

Status capture_content(const CaptureSession& session, const OpenFile& file, QueueState& state) {
  const UniqueFd queue = CK_TRY(reopen(file.duplicate.get(), state.name()));
  const Registration registration = CK_TRY(read_registration(queue.get()));
  mq_attr now{};
  if (::mq_getattr(queue.get(), &now) != 0) return sys_error("examine a message queue");
  CK_TRY(check_registration(session, registration, now.mq_curmsgs == 0));
  if (now.mq_curmsgs == 0 && registration.pid == 0) return {};
  CK_TRY(check_room(session, file, now));
  const auto messages = CK_TRY(take_all(queue.get(), static_cast<std::size_t>(state.longest())));
  for (const QueueState::Message& message : messages) *state.add_messages() = message;
  return capture_told(session, file, queue.get(), registration, messages, state);
}

bool is_first_of_queue(const CaptureSession& session, const OpenFile& file) {
  const auto all = session.of_inode(file.status.st_dev, file.status.st_ino);
  return &session.files[all.front()] == &file;
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  QueueState state;
  std::string name = file.entry.target.substr(1);
  if (file.status.st_nlink == 0 && name.ends_with(kDeleted))
    name.resize(name.size() - kDeleted.size());
  mq_attr attributes{};
  if (::mq_getattr(file.duplicate.get(), &attributes) != 0)
    return sys_error("examine message queue " + name);
  state.set_id(file.status.st_ino);
  state.set_name(name);
  state.set_removed(file.status.st_nlink == 0);
  state.set_most(attributes.mq_maxmsg);
  state.set_longest(attributes.mq_msgsize);
  state.set_mode(file.status.st_mode & 07777);
  if (!session.survey && is_first_of_queue(session, file))
    CK_TRY(capture_content(session, file, state));
  record.set_state(state.SerializeAsString());
  return {};
}

Result<int> open_queue(RestoreSession& session, const QueueState& state, const std::string& name) {
  proc::Mailbox& box = session.box();
  mq_attr wanted{};
  wanted.mq_maxmsg = state.most();
  wanted.mq_msgsize = state.longest();
  const auto path = box.put_string(name);
  const auto attributes = box.put_value(wanted);
  const auto made =
      box.add(SYS_mq_open, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, attributes);
  CK_TRY(box.run());
  std::int64_t fd = box.result(made);
  box.clear();
  if (fd == -EEXIST)
    fd = CK_TRY(box.call("open message queue /" + name, SYS_mq_open, box.put_string(name),
                         O_RDWR | O_CLOEXEC, 0, 0));
  if (fd < 0)
    return sys_error("make message queue /" + name + " for " + std::to_string(state.most()) +
                         " messages of " + std::to_string(state.longest()) + " bytes",
                     static_cast<int>(-fd));
  return session.move_up(static_cast<int>(fd));
}

// The content goes back to that of the checkpoint, whatever became of the queue since.
Status put_back(int queue, const QueueState& state) {
  mq_attr now{};
  if (::mq_getattr(queue, &now) != 0) return sys_error("examine a message queue");
  if (now.mq_maxmsg != state.most() || now.mq_msgsize != state.longest())
    return make_error(ErrorKind::kRefused,
                      "message queue /" + state.name() + " is another one here",
                      "remove it (/dev/mqueue) if it is none of the job's");
  CK_TRY(take_all(queue, static_cast<std::size_t>(state.longest())));
  CK_TRY(put_all(queue, {state.messages().begin(), state.messages().end()}));
  if (::fchmod(queue, state.mode()) != 0) return sys_error("set the mode of a message queue");
  return {};
}

// Removed ones never had the name that they are made under.
Result<UniqueFd> make_queue(RestoreSession& session, const QueueState& state) {
  std::string name = state.name();
  if (state.removed())
    name = "ckrun-" + std::to_string(session.box().pid().value) + "-" + std::to_string(state.id());
  const int there = CK_TRY(open_queue(session, state, name));
  UniqueFd queue = CK_TRY(session.fetch({session.process, there}));
  proc::Mailbox& box = session.box();
  CK_TRY(box.call("close a message queue", SYS_close, there));
  if (state.removed())
    CK_TRY(box.call("remove a message queue", SYS_mq_unlink, box.put_string(name)));
  UniqueFd own = CK_TRY(reopen(queue.get(), state.name()));
  CK_TRY(put_back(own.get(), state));
  return own;
}

// The content is in the record of one of the queue's open files.
const QueueState& fuller(const QueueState& a, const QueueState& b) {
  return b.messages_size() > a.messages_size() ? b : a;
}

Result<QueueState> whole_state(const RestoreSession& session, QueueState state) {
  for (const image::OpenFileRecord& record : session.manifest.open_files()) {
    if (record.kind() != kMessageQueue.name) continue;
    const auto other = CK_TRY(parse_state<QueueState>(record));
    if (other.id() == state.id()) state = QueueState(fuller(state, other));
  }
  return state;
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  const auto state = CK_TRY(parse_state<QueueState>(record));
  auto queue = session.queues.find(state.id());
  if (queue == session.queues.end()) {
    UniqueFd made = CK_TRY(make_queue(session, CK_TRY(whole_state(session, state))));
    queue = session.queues.emplace(state.id(), std::move(made)).first;
  }
  const std::string path = "/proc/self/fd/" + std::to_string(queue->second.get());
  UniqueFd fd(::open(path.c_str(),
                     static_cast<int>(record.flags() & (O_ACCMODE | O_NONBLOCK)) | O_CLOEXEC));
  if (!fd) return sys_error("open message queue /" + state.name());
  return Restored(std::move(fd));
}

Status register_in(const RestoreProcess& process, const image::Manifest& manifest) {
  for (const image::OpenFileRecord& record : manifest.open_files()) {
    if (record.kind() != kMessageQueue.name) continue;
    const auto state = CK_TRY(parse_state<QueueState>(record));
    if (state.notify_pid() != process.record->pid()) continue;
    for (const image::DescriptorRecord& descriptor : process.record->descriptors()) {
      const auto& file = manifest.open_files(static_cast<int>(descriptor.open_file()) - 1);
      if (file.kind() != kMessageQueue.name ||
          CK_TRY(parse_state<QueueState>(file)).id() != state.id())
        continue;
      CK_TRY(register_again(*process.mailbox, descriptor.fd(), state));
      break;
    }
  }
  return {};
}

}  // namespace

Status restore_queue_registrations(const RestoreContext& context, const image::Manifest& manifest) {
  for (const RestoreProcess& process : context.processes) CK_TRY(register_in(process, manifest));
  return {};
}

const Kind kMessageQueue = {"message queue", recognises, capture, restore};

}  // namespace ck::resources
