#include "driver/cluster/certificate.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "driver/protocol/check.h"

namespace ck::cluster {
namespace {

constexpr char kUriStart[] = "ckd://";
constexpr char kGuestName[] = "ckd guest";

Time to_time(const ASN1_TIME* time) {
  tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return std::chrono::time_point_cast<std::chrono::seconds>(
      std::chrono::system_clock::from_time_t(timegm(&parts)));
}

bool set_validity(X509* x509, Validity validity) {
  return ASN1_TIME_set(X509_getm_notBefore(x509),
                       std::chrono::system_clock::to_time_t(validity.from)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(x509),
                       std::chrono::system_clock::to_time_t(validity.to)) != nullptr;
}

// 127 random bits: two hosts that sign at once do not collide.
bool set_random_serial(X509* x509) {
  std::unique_ptr<BIGNUM, FreeBy<BN_free>> number(BN_new());
  return BN_rand(number.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509)) != nullptr;
}

bool set_name(X509_NAME* name, const std::string& text) {
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

struct Extension {
  int nid;
  std::string value;
};

bool add_extensions(X509* x509, X509* issuer, const std::vector<Extension>& extensions) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  for (const Extension& extension : extensions) {
    std::unique_ptr<X509_EXTENSION, FreeBy<X509_EXTENSION_free>> made(
        X509V3_EXT_conf_nid(nullptr, &context, extension.nid, extension.value.c_str()));
    if (!made || X509_add_ext(x509, made.get(), -1) != 1) return false;
  }
  return true;
}

X509Ptr start_certificate(const std::string& name, EVP_PKEY* public_key, Validity validity) {
  X509Ptr x509(X509_new());
  bool good = X509_set_version(x509.get(), X509_VERSION_3) == 1 && set_random_serial(x509.get()) &&
              set_validity(x509.get(), validity) &&
              set_name(X509_get_subject_name(x509.get()), name) &&
              X509_set_pubkey(x509.get(), public_key) == 1;
  return good ? std::move(x509) : nullptr;
}

Result<Certificate> finish_certificate(X509Ptr x509, X509* issuer, const Key& key,
                                       const std::vector<Extension>& extensions) {
  if (issuer == nullptr) issuer = x509.get();  // signed by itself
  bool good = x509 && X509_set_issuer_name(x509.get(), X509_get_subject_name(issuer)) == 1 &&
              add_extensions(x509.get(), issuer, extensions) &&
              X509_sign(x509.get(), key.get(), nullptr) != 0;
  if (!good) return openssl_error("make a certificate");
  return Certificate(std::move(x509));
}

std::optional<MemberName> parse_uri(std::string_view uri) {
  if (!uri.starts_with(kUriStart)) return std::nullopt;
  uri.remove_prefix(sizeof kUriStart - 1);
  std::size_t slash = uri.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  MemberName name{std::string(uri.substr(0, slash)), std::string(uri.substr(slash + 1))};
  if (name.cluster.empty() || !protocol::check_host_name(name.host).ok()) return std::nullopt;
  return name;
}

}  // namespace

Validity valid_for(std::chrono::seconds lifetime) {
  Time now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return {now - std::chrono::minutes(1), now + lifetime};
}

Result<Certificate> Certificate::from_pem(const std::string& pem) {
  X509Ptr x509(PEM_read_bio_X509(read_bio(pem).get(), nullptr, nullptr, nullptr));
  if (!x509) return openssl_error("read a certificate", ErrorKind::kRefused);
  return Certificate(std::move(x509));
}

Result<std::string> Certificate::to_pem() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), get()) != 1) return openssl_error("write a certificate");
  return bio_text(bio.get());
}

Validity Certificate::validity() const {
  return {to_time(X509_get0_notBefore(get())), to_time(X509_get0_notAfter(get()))};
}

std::string Certificate::serial() const {
  std::unique_ptr<BIGNUM, FreeBy<BN_free>> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(get()), nullptr));
  char* text = BN_bn2hex(number.get());
  std::string serial = text;
  OPENSSL_free(text);
  return serial;
}

std::optional<MemberName> member_name(X509* certificate) {
  std::unique_ptr<GENERAL_NAMES, FreeBy<GENERAL_NAMES_free>> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    if (auto found = parse_uri({reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                                static_cast<std::size_t>(ASN1_STRING_length(uri))})) {
      return found;
    }
  }
  return std::nullopt;
}

std::string fingerprint(X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  CK_CHECK(X509_digest(certificate, EVP_sha256(), digest, &size) == 1);
  return {reinterpret_cast<char*>(digest), size};
}

Result<Certificate> make_authority_certificate(const Key& key, const std::string& cluster,
                                               Validity validity) {
  return finish_certificate(start_certificate("ckrun cluster " + cluster, key.get(), validity),
                            nullptr, key,
                            {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                             {NID_key_usage, "critical,keyCertSign,cRLSign"},
                             {NID_subject_key_identifier, "hash"}});
}

Result<Certificate> sign_member(const Certificate& authority, const Key& authority_key,
                                EVP_PKEY* public_key, const MemberName& name, Validity validity) {
  CK_TRY(protocol::check_host_name(name.host));  // it becomes part of OpenSSL's little language
  return finish_certificate(start_certificate(name.host, public_key, validity), authority.get(),
                            authority_key,
                            {{NID_basic_constraints, "critical,CA:FALSE"},
                             {NID_key_usage, "critical,digitalSignature"},
                             {NID_ext_key_usage, "serverAuth,clientAuth"},
                             {NID_subject_key_identifier, "hash"},
                             {NID_authority_key_identifier, "keyid:always"},
                             {NID_subject_alt_name, "DNS:" + name.host + ",URI:" + kUriStart +
                                                        name.cluster + "/" + name.host}});
}

Result<Certificate> make_guest_certificate(const Key& key, Validity validity) {
  return finish_certificate(
      start_certificate(kGuestName, key.get(), validity), nullptr, key,
      {{NID_basic_constraints, "critical,CA:FALSE"}, {NID_ext_key_usage, "clientAuth"}});
}

Result<MemberName> check_member(const Certificate& certificate, const Certificate& authority,
                                EVP_PKEY* key) {
  if (X509_verify(certificate.get(), X509_get0_pubkey(authority.get())) != 1) {
    return openssl_error("the certificate is not signed by the cluster's CA",
                         ErrorKind::kPermission);
  }
  if (EVP_PKEY_eq(X509_get0_pubkey(certificate.get()), key) != 1) {
    return make_error(ErrorKind::kPermission, "the certificate is not for the key beside it");
  }
  auto name = member_name(certificate.get());
  if (!name)
    return make_error(ErrorKind::kPermission, "the certificate names no host of a cluster");
  return *name;
}

}  // namespace ck::cluster
