// Publishes what stands in a round's file, from where the stream ends.
//
// The records are encoded already; where they are cut into parts is that of the round too
// (DiffManifest::max_message), not that of now: a record of which the stream has some parts gets
// the others of the same cut.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "connector/config.h"
#include "connector/diff_messages.h"
#include "connector/diff_store.h"
#include "connector/message_writer.h"
#include "connector/record_format.h"
#include "connector/slotless.h"
#include "pg/type_catalog.h"

namespace connector {

class DiffPublisher {
 public:
  DiffPublisher(const Config& config, SlotlessSession& session, const Wakeup& wakeup);

  // The messages behind the first `stored`, to their acks; what of `stored` the round does not have
  // is left in it. False when a stop was requested. Throws outbox::FileError before anything is
  // sent, Stop(position_lost) when the stream's last message is not the one that it must be.
  bool publish(const DiffManifest& manifest, const std::string& file, std::uint64_t& stored);

  // The tables of whose messages the stream would lack some, if it has the first `stored`.
  std::set<std::string> lacking(const DiffManifest& manifest, const std::string& file,
                                std::uint64_t& stored);

  Outlet& outlet() { return outlet_; }
  publisher::StreamSequence last_stored() const { return outlet_.last_stored(); }

 private:
  // `after` is called behind each record, with its number.
  template <class After>
  void read(const DiffManifest& manifest, const std::string& file, After after);
  void hand_on(DiffMessage& message);
  void send(const Message& message);
  void require_tail(const std::string& id);

  SlotlessSession& session_;
  const std::string slot_;
  const std::uint64_t max_message_;
  Config cut_;  // that of the round which is published
  pg::TypeCatalog types_;
  RecordFormat format_;
  Outlet outlet_;
  MessageWriter writer_;

  std::uint64_t skip_ = 0;
  bool counts_ = false;  // nothing is sent
  bool lacks_ = false;   // the stream a message
  bool stopped_ = false;
};

}  // namespace connector
