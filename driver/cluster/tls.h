// TLS 1.3 between hosts of a cluster, both ends with a certificate, and who is at the other end.
// Any thread; a context may be shared.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/verify_context.hpp>
#include <memory>
#include <string>

#include "driver/cluster/member.h"
#include "driver/cluster/token.h"

namespace ck::cluster {

using Context = boost::asio::ssl::context;

// For both ends of connections between members.
Result<std::shared_ptr<Context>> member_context(const Member& member);
// For who joins; the peer is checked with InviterCheck.
Result<std::shared_ptr<Context>> guest_context(const Token& token);

struct Identity {
  enum class Kind { kMember, kGuest };
  Kind kind = Kind::kMember;
  std::string name;  // of a member: the host; of a guest: the fingerprint of its key
};

// Decides during the handshake whether the other end belongs to the cluster. One for each
// connection, shared with its verify callback.
class PeerCheck {
 public:
  // `folder`: where the invitations are; empty: guests are refused.
  PeerCheck(std::string cluster, std::string folder)
      : cluster_(std::move(cluster)), folder_(std::move(folder)) {}

  bool verify(bool good, boost::asio::ssl::verify_context& context);
  // Once the handshake is over.
  Result<Identity> identity(SSL* connection) const;
  // Why the other end was refused; empty if it was not, or is none with a certificate.
  const std::string& reason() const { return reason_; }

 private:
  std::string cluster_, folder_;
  std::string guest_;
  std::string reason_;
};

// Whether the other end is the host that invited: its CA has the token's fingerprint.
class InviterCheck {
 public:
  explicit InviterCheck(const Token& token) : token_(token) {}
  bool verify(bool good, boost::asio::ssl::verify_context& context);
  Status check(SSL* connection) const;

 private:
  Token token_;
};

// The other end does not accept our certificate.
bool is_refusal(const boost::system::error_code& error);
// An error of a TLS connection in words: what the other end has against our certificate, above all.
std::string describe_tls(const boost::system::error_code& error);

}  // namespace ck::cluster
