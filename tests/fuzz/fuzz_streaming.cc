// Any bytes are parts of transactions or an error of the two known kinds, and all that is handed on
// can be given to the decoder. An input is a session as in fuzz_pgoutput.cc, under streaming.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "pg/error.h"
#include "pg/pgoutput.h"
#include "pg/whole_transactions.h"

namespace {

void decode(pg::PgoutputDecoder& decoder, const pg::Arrival& arrival) {
  if (const auto* data = std::get_if<pg::WalData>(&arrival)) decoder.decode(data->message);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  pg::WholeTransactions transactions(
      pg::SpoolSettings{.dir = pg::default_spill_dir(), .max_bytes = 64 << 10});
  pg::PgoutputDecoder decoder;
  while (rest.size() >= 2) {
    pg::ByteReader head(rest.substr(0, 2));
    const std::size_t length = std::min<std::size_t>(head.read<std::uint16_t>(), rest.size() - 2);
    const std::string message(rest.substr(2, length));  // its own end is seen by the sanitizer
    rest.remove_prefix(2 + length);
    try {
      decode(decoder, transactions.receive(pg::WalData{.lsn = pg::Lsn(1), .message = message}));
    } catch (const pg::ProtocolError&) {
    } catch (const pg::AmbiguousStream&) {
      return 0;
    } catch (const pg::SpillError&) {
    }
    while (transactions.replaying()) {
      try {
        decode(decoder, transactions.replay());
      } catch (const pg::ProtocolError&) {
      }
    }
  }
  return 0;
}
