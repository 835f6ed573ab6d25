#include "driver/cluster/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>

#include "driver/cluster/invitations.h"

namespace ck::cluster {
namespace {

Result<std::shared_ptr<Context>> new_context(X509* certificate, EVP_PKEY* key) {
  auto context = std::make_shared<Context>(Context::tlsv13);
  SSL_CTX* native = context->native_handle();
  // Each connection proves anew who is there: none is resumed.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(native, 0);
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET);
  SSL_CTX_set_max_cert_list(native, 16 << 10);
  bool good = SSL_CTX_set_min_proto_version(native, TLS1_3_VERSION) == 1 &&
              SSL_CTX_use_certificate(native, certificate) == 1 &&
              SSL_CTX_use_PrivateKey(native, key) == 1;
  if (!good) return openssl_error("set up TLS");
  context->set_verify_mode(boost::asio::ssl::verify_peer |
                           boost::asio::ssl::verify_fail_if_no_peer_cert);
  return context;
}

std::string describe_certificate(X509* certificate) {
  auto name = member_name(certificate);
  if (!name) return "a certificate that names no host of a cluster";
  return "the certificate of " + name->host;
}

}  // namespace

Result<std::shared_ptr<Context>> member_context(const Member& member) {
  auto context = CK_TRY(new_context(member.certificate.get(), member.key.get()));
  SSL_CTX* native = context->native_handle();
  X509_STORE* store = SSL_CTX_get_cert_store(native);
  bool good = X509_STORE_add_cert(store, member.authority.get()) == 1 &&
              X509_STORE_add_crl(store, member.revoked.get()) == 1 &&
              X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1 &&
              // Who joins knows the CA by its fingerprint only: the chain shows it.
              SSL_CTX_add1_chain_cert(native, member.authority.get()) == 1;
  if (!good) return openssl_error("set up TLS");
  return context;
}

Result<std::shared_ptr<Context>> guest_context(const Token& token) {
  Key key = CK_TRY(Key::from_seed(token.seed));
  Certificate certificate = CK_TRY(make_guest_certificate(key, valid_for(std::chrono::hours(1))));
  return new_context(certificate.get(), key.get());
}

bool PeerCheck::verify(bool good, boost::asio::ssl::verify_context& context) {
  if (good) return true;
  X509_STORE_CTX* native = context.native_handle();
  X509* leaf = X509_STORE_CTX_get0_cert(native);
  int error = X509_STORE_CTX_get_error(native);
  bool signed_by_itself = error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT || !guest_.empty();
  if (signed_by_itself && !folder_.empty()) {
    // A guest: that it has the key is proven by the handshake, and the key is what we know.
    Result<std::string> key = key_fingerprint(X509_get0_pubkey(leaf));
    Result<Time> end = key.ok() ? find_invitation(folder_, *key) : Result<Time>(key.error());
    if (!end.ok()) {
      reason_ = end.error().message;
      // The alert to the other end says so too.
      if (end.error().errnum == ETIMEDOUT) {
        X509_STORE_CTX_set_error(native, X509_V_ERR_CERT_HAS_EXPIRED);
      }
      return false;
    }
    guest_ = *key;
    return true;
  }
  reason_ = describe_certificate(leaf) + ": " + X509_verify_cert_error_string(error);
  return false;
}

Result<Identity> PeerCheck::identity(SSL* connection) const {
  if (!guest_.empty()) return Identity{Identity::Kind::kGuest, guest_};
  X509* leaf = SSL_get0_peer_certificate(connection);
  auto name = leaf == nullptr ? std::nullopt : member_name(leaf);
  if (name && name->cluster == cluster_) return Identity{Identity::Kind::kMember, name->host};
  return make_error(ErrorKind::kPermission, "its certificate names no host of this cluster");
}

bool InviterCheck::verify(bool good, boost::asio::ssl::verify_context& context) {
  if (good) return true;
  X509_STORE_CTX* native = context.native_handle();
  return X509_STORE_CTX_get_error(native) == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN &&
         fingerprint(X509_STORE_CTX_get_current_cert(native)) == token_.authority;
}

Status InviterCheck::check(SSL* connection) const {
  X509* leaf = SSL_get0_peer_certificate(connection);
  auto name = leaf == nullptr ? std::nullopt : member_name(leaf);
  if (name && name->host == token_.host) return {};
  return make_error(ErrorKind::kPermission,
                    "at " + token_.address + " is another host than the one that invited");
}

namespace {

constexpr std::string_view kAlertStarts[] = {"tlsv1 alert ", "sslv3 alert ", "tlsv13 alert "};

// What the alert that came says; empty if the error is none.
std::string alert_of(const boost::system::error_code& error) {
  if (error.category() != boost::asio::error::get_ssl_category()) return {};
  const char* reason = ERR_reason_error_string(static_cast<unsigned long>(error.value()));
  std::string text = reason == nullptr ? "" : reason;
  for (std::string_view start : kAlertStarts) {
    if (text.starts_with(start)) return text.substr(start.size());
  }
  return {};
}

}  // namespace

bool is_refusal(const boost::system::error_code& error) {
  return !alert_of(error).empty();
}

std::string describe_tls(const boost::system::error_code& error) {
  if (error == boost::asio::ssl::error::stream_truncated || error == boost::asio::error::eof) {
    return "the connection was closed";
  }
  std::string alert = alert_of(error);
  if (!alert.empty()) return "it refused this host: " + alert;
  if (error.category() != boost::asio::error::get_ssl_category()) return error.message();
  const char* reason = ERR_reason_error_string(static_cast<unsigned long>(error.value()));
  return reason == nullptr ? error.message() : reason;
}

}  // namespace ck::cluster
