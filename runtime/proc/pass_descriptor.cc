#include "runtime/proc/pass_descriptor.h"

#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

namespace ck::proc {

namespace {

Status send_descriptors(int channel, std::span<const int> fds) {
  return send_with_descriptors(channel, "f", fds) == 1 ? Status() : sys_error("pass descriptors");
}

Status receive_descriptors(Mailbox& box, int channel_fd, std::span<int> numbers) {
  box.clear();
  const Mailbox::Address byte = box.reserve(1);
  iovec data{reinterpret_cast<void*>(byte), 1};
  const std::size_t control_bytes = CMSG_SPACE(numbers.size_bytes());
  const Mailbox::Address control = box.reserve(control_bytes);
  msghdr message{};
  message.msg_iov = reinterpret_cast<iovec*>(box.put_value(data));
  message.msg_iovlen = 1;
  message.msg_control = reinterpret_cast<void*>(control);
  message.msg_controllen = control_bytes;
  const Mailbox::Address header = box.put_value(message);
  box.add(SYS_recvmsg, channel_fd, header, int{MSG_CMSG_CLOEXEC});
  CK_TRY(box.run());
  CK_TRY(box.expect_all("receive descriptors"));
  const auto got = box.value_at<cmsghdr>(control);
  if (got.cmsg_type != SCM_RIGHTS || got.cmsg_len != CMSG_LEN(numbers.size_bytes()))
    return make_error(ErrorKind::kSystem,
                      "process " + to_string(box.pid()) + " did not receive " +
                          std::to_string(numbers.size()) + " descriptors",
                      "its limit of open files may be too low");
  const std::span<std::byte> received = box.view(control + CMSG_LEN(0), numbers.size_bytes());
  std::memcpy(numbers.data(), received.data(), received.size());
  return {};
}

}  // namespace

ssize_t send_with_descriptors(int socket, std::string_view bytes, std::span<const int> fds,
                              const sockaddr* address, socklen_t length) {
  iovec data{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxPassed * sizeof(int))] = {};
  CK_CHECK(fds.size() <= kMaxPassed);
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(address);
  message.msg_namelen = length;
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

Result<ReceivedMessage> receive_message(int socket) {
  constexpr std::size_t kMostBytes = 65536;
  ReceivedMessage received;
  received.bytes.resize(kMostBytes);
  iovec data{received.bytes.data(), received.bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxPassed * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (count < 0) return sys_error("receive a message");
  received.bytes.resize(static_cast<std::size_t>(count));
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; at + CMSG_LEN(sizeof(int)) <= header->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
      received.fds.emplace_back(fd);
    }
  }
  return received;
}

Result<UniqueFd> receive_descriptor(int socket) {
  ReceivedMessage message = CK_TRY(receive_message(socket));
  if (message.fds.size() != 1)
    return make_error(ErrorKind::kSystem, "a descriptor was expected, and none came");
  return std::move(message.fds.front());
}

Result<int> pass_descriptor(Mailbox& box, int channel, int channel_fd, int fd) {
  return CK_TRY(pass_descriptors(box, channel, channel_fd, std::span(&fd, 1))).front();
}

Result<std::vector<int>> pass_descriptors(Mailbox& box, int channel, int channel_fd,
                                          std::span<const int> fds) {
  std::vector<int> numbers(fds.size());
  for (std::span<int> rest = numbers; !fds.empty();) {
    const std::size_t count = std::min(kMaxPassed, fds.size());
    CK_TRY(send_descriptors(channel, fds.first(count)));
    CK_TRY(receive_descriptors(box, channel_fd, rest.first(count)));
    fds = fds.subspan(count);
    rest = rest.subspan(count);
  }
  return numbers;
}

}  // namespace ck::proc
