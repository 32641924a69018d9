// The public key of an nkey seed. nats.c signs with the seed's file but wants the public key said
// beside it, which a configuration that names one file does not have.
#pragma once

#include <string>

namespace publisher {

// Reads the file's seed ("SU…", alone or among comment lines, as `nsc` and `nk` write it) and
// returns its public key ("U…"). Throws Error(bad_settings), which names `setting` and the file and
// never repeats the seed.
std::string nkey_public(const std::string& seed_file, const std::string& setting);

}  // namespace publisher
