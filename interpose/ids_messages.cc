// Ids in messages (SCM_CREDENTIALS): wrappers, for sending is too common for a filter. They do
// nothing where ids are not virtual.
#include <sys/socket.h>

#include "interpose/ids.h"
#include "interpose/real.h"

#define CK_EXPORT extern "C" __attribute__((visibility("default")))

CK_DEFINE_REAL(recvmsg);
CK_DEFINE_REAL(sendmmsg);
CK_DEFINE_REAL(sendmsg);

namespace ck::agent {
namespace {

ucred* next_credentials(msghdr* message, cmsghdr*& at) {
  for (at = at == nullptr ? CMSG_FIRSTHDR(message) : CMSG_NXTHDR(message, at); at != nullptr;
       at = CMSG_NXTHDR(message, at))
    if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_CREDENTIALS &&
        at->cmsg_len >= CMSG_LEN(sizeof(ucred)))
      return reinterpret_cast<ucred*>(CMSG_DATA(at));
  return nullptr;
}

bool may_have_credentials(const msghdr* message) {
  return area != nullptr && ids()->on && message != nullptr && message->msg_control != nullptr &&
         message->msg_controllen >= CMSG_LEN(sizeof(ucred));
}

void change_credentials(msghdr* message, int32_t (*change)(abi::IdTable*, int32_t)) {
  cmsghdr* at = nullptr;
  while (ucred* credentials = next_credentials(message, at))
    credentials->pid = change(ids(), credentials->pid);
}

void credentials_to_real(const msghdr* message) {
  if (may_have_credentials(message)) change_credentials(const_cast<msghdr*>(message), abi::to_real);
}

void credentials_to_virtual(const msghdr* message) {
  if (may_have_credentials(message))
    change_credentials(const_cast<msghdr*>(message), abi::to_virtual);
}

}  // namespace
}  // namespace ck::agent

using ck::agent::credentials_to_real;
using ck::agent::credentials_to_virtual;

CK_EXPORT ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  credentials_to_real(message);
  const ssize_t sent = CK_REAL(sendmsg)(fd, message, flags);
  credentials_to_virtual(message);
  return sent;
}

CK_EXPORT int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  for (unsigned i = 0; i < count; ++i) credentials_to_real(&messages[i].msg_hdr);
  const int sent = CK_REAL(sendmmsg)(fd, messages, count, flags);
  for (unsigned i = 0; i < count; ++i) credentials_to_virtual(&messages[i].msg_hdr);
  return sent;
}

CK_EXPORT ssize_t recvmsg(int fd, msghdr* message, int flags) {
  const ssize_t received = CK_REAL(recvmsg)(fd, message, flags);
  if (received >= 0) credentials_to_virtual(message);
  return received;
}

namespace ck::agent {

void take_received(mmsghdr* messages, int count) {
  for (int i = 0; i < count; ++i) credentials_to_virtual(&messages[i].msg_hdr);
}

void look_up_messages(const NextLibraries& libraries) {
  CK_LOOK_UP(recvmsg);
  CK_LOOK_UP(sendmmsg);
  CK_LOOK_UP(sendmsg);
}

}  // namespace ck::agent
