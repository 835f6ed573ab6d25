#include "driver/cluster/revocation.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace ck::cluster {
namespace {

// A host whose clock is behind would refuse everybody with a list of the future.
constexpr time_t kBackdated = 24 * 3600;

using IntegerPtr = std::unique_ptr<ASN1_INTEGER, FreeBy<ASN1_INTEGER_free>>;
using TimePtr = std::unique_ptr<ASN1_TIME, FreeBy<ASN1_TIME_free>>;
using BigPtr = std::unique_ptr<BIGNUM, FreeBy<BN_free>>;

IntegerPtr serial_number(const std::string& hex) {
  BIGNUM* number = nullptr;
  BN_hex2bn(&number, hex.c_str());
  return IntegerPtr(BN_to_ASN1_INTEGER(BigPtr(number).get(), nullptr));
}

bool add_revoked(X509_CRL* crl, const std::string& serial, const ASN1_TIME* now) {
  std::unique_ptr<X509_REVOKED, FreeBy<X509_REVOKED_free>> entry(X509_REVOKED_new());
  IntegerPtr number = serial_number(serial);
  if (!number || X509_REVOKED_set_serialNumber(entry.get(), number.get()) != 1 ||
      X509_REVOKED_set_revocationDate(entry.get(), const_cast<ASN1_TIME*>(now)) != 1 ||
      X509_CRL_add0_revoked(crl, entry.get()) != 1) {
    return false;
  }
  (void)entry.release();
  return true;
}

}  // namespace

Result<RevocationList> RevocationList::from_pem(const std::string& pem,
                                                const Certificate& authority) {
  CrlPtr crl(PEM_read_bio_X509_CRL(read_bio(pem).get(), nullptr, nullptr, nullptr));
  if (!crl) return openssl_error("read a list of revoked certificates", ErrorKind::kRefused);
  if (X509_CRL_verify(crl.get(), X509_get0_pubkey(authority.get())) != 1) {
    return openssl_error("the list of revoked certificates is not signed by the cluster's CA",
                         ErrorKind::kPermission);
  }
  return RevocationList(std::move(crl));
}

Result<RevocationList> RevocationList::sign(const Certificate& authority, const Key& authority_key,
                                            const std::vector<std::string>& serials,
                                            std::uint64_t number) {
  CrlPtr crl(X509_CRL_new());
  TimePtr from(ASN1_TIME_set(nullptr, time(nullptr) - kBackdated));
  IntegerPtr counter(ASN1_INTEGER_new());
  bool good = X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) == 1 &&
              X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(authority.get())) == 1 &&
              X509_CRL_set1_lastUpdate(crl.get(), from.get()) == 1 &&
              X509_CRL_set1_nextUpdate(crl.get(), X509_get0_notAfter(authority.get())) == 1 &&
              ASN1_INTEGER_set_uint64(counter.get(), number) == 1 &&
              X509_CRL_add1_ext_i2d(crl.get(), NID_crl_number, counter.get(), 0, 0) == 1;
  for (const std::string& serial : serials)
    good = good && add_revoked(crl.get(), serial, from.get());
  good = good && X509_CRL_sort(crl.get()) == 1 &&
         X509_CRL_sign(crl.get(), authority_key.get(), nullptr) != 0;
  if (!good) return openssl_error("sign a list of revoked certificates");
  return RevocationList(std::move(crl));
}

Result<std::string> RevocationList::to_pem() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509_CRL(bio.get(), get()) != 1) {
    return openssl_error("write a list of revoked certificates");
  }
  return bio_text(bio.get());
}

std::uint64_t RevocationList::number() const {
  IntegerPtr counter(
      static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(get(), NID_crl_number, nullptr, nullptr)));
  std::uint64_t number = 0;
  if (!counter || ASN1_INTEGER_get_uint64(&number, counter.get()) != 1) return 0;
  return number;
}

std::vector<std::string> RevocationList::serials() const {
  std::vector<std::string> serials;
  const STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(get());
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    BigPtr number(ASN1_INTEGER_to_BN(
        X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i)), nullptr));
    char* text = BN_bn2hex(number.get());
    serials.emplace_back(text);
    OPENSSL_free(text);
  }
  return serials;
}

}  // namespace ck::cluster
