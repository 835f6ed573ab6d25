#include "runtime/proc/pass_descriptor.h"

#include <sys/socket.h>
#include <sys/syscall.h>

#include <cstring>

namespace ck::proc {

namespace {

constexpr std::size_t kControlBytes = CMSG_SPACE(sizeof(int));

Status send_descriptor(int channel, int fd) {
  char byte = 'f';
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[kControlBytes] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (::sendmsg(channel, &message, MSG_NOSIGNAL) != 1) return sys_error("pass a descriptor");
  return {};
}

}  // namespace

Result<int> pass_descriptor(Mailbox& box, int channel, int channel_fd, int fd) {
  CK_TRY(send_descriptor(channel, fd));
  box.clear();
  const Mailbox::Address byte = box.reserve(1);
  iovec data{reinterpret_cast<void*>(byte), 1};
  const Mailbox::Address control = box.reserve(kControlBytes);
  msghdr message{};
  message.msg_iov = reinterpret_cast<iovec*>(box.put_value(data));
  message.msg_iovlen = 1;
  message.msg_control = reinterpret_cast<void*>(control);
  message.msg_controllen = kControlBytes;
  const Mailbox::Address header = box.put_value(message);
  const auto received = box.add(SYS_recvmsg, channel_fd, header, int{MSG_CMSG_CLOEXEC});
  CK_TRY(box.run());
  CK_TRY(box.expect_all("receive a descriptor"));
  (void)received;
  const auto got = box.value_at<cmsghdr>(control);
  if (got.cmsg_type != SCM_RIGHTS || got.cmsg_len != CMSG_LEN(sizeof(int)))
    return make_error(ErrorKind::kSystem,
                      "process " + to_string(box.pid()) + " received no descriptor",
                      "its limit of open files may be too low");
  return box.value_at<int>(control + CMSG_LEN(0));
}

}  // namespace ck::proc
