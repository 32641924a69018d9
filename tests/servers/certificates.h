// Certificates for tests of TLS, valid from 2020 to 2120: an authority, and a server's and a
// client's certificate for 127.0.0.1 and localhost that it signed. The keys guard nothing.
#pragma once

namespace servers::certificates {

extern const char* const authority;
extern const char* const server;
extern const char* const server_key;
extern const char* const client;
extern const char* const client_key;

// An nkey of a user, made for these tests, and its public half.
extern const char* const nkey_seed;
extern const char* const nkey_public;

}  // namespace servers::certificates
