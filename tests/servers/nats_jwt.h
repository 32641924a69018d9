// Logins of nats-server's operator mode, made anew for each test: nkeys (Ed25519 keys in base32
// with a letter for what they are), and the JWTs in which an operator vouches for an account, and
// an account for its user. See https://docs.nats.io/running-a-nats-service/nats_admin/security/jwt
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

namespace servers {

class Nkey {
 public:
  enum class Kind : unsigned char { account = 0, company = 14, user = 20 };  // A, O and U
  explicit Nkey(Kind kind);                                                  // a new one
  static Nkey from_seed(const std::string& seed);

  std::string public_key() const;                    // "UBE7…"
  const std::string& seed() const { return seed_; }  // "SUAC…"
  std::string sign(std::string_view text) const;     // in base64url

 private:
  struct Closer {
    void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
  };
  Nkey(Kind kind, const std::string& secret);

  Kind kind_;
  std::string seed_;
  std::unique_ptr<EVP_PKEY, Closer> key_;
};

// An operator, a system account, and an account with JetStream and one user.
struct NatsTrust {
  NatsTrust();

  std::string server_lines;  // for the server's configuration
  std::string user_jwt;
  std::string user_seed;
  std::string creds() const;  // the text of the user's creds file
};

}  // namespace servers
