// The loop: from the slot to the stream, and back with what Postgres may forget.
//
//   replication ─▶ decoder ─▶ filter ─▶ encoder ─▶ message writer ─▶ publisher ─▶ JetStream
//        ▲                                                              │ acks
//        └── status ◀─ confirm ◀─ save ◀─ replay window ◀─ frontier ◀───┘
//
// One thread does all of it. When the window is full the loop
// stops reading, and TCP carries the pressure back to the walsender; status updates go on.
//
// Save before confirm: Postgres is told that it may forget up to C only after a position with C
// has been saved and acknowledged, so that at every start the slot is at or before what is saved,
// and the opposite means that JetStream has lost something.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

#include "connector/config.h"
#include "connector/copy_row.h"
#include "connector/message_writer.h"
#include "connector/outbox_router.h"
#include "connector/progress.h"
#include "connector/record.h"
#include "connector/record_format.h"
#include "connector/session.h"
#include "connector/shape_log.h"
#include "connector/snapshots.h"
#include "connector/structured_value.h"
#include "connector/table_gate.h"
#include "connector/table_selection.h"
#include "connector/wakeup.h"
#include "pg/ack_frontier.h"
#include "pg/pgoutput.h"
#include "pg/type_catalog.h"
#include "pg/whole_transactions.h"
#include "publisher/publisher.h"

namespace connector {

// What a mark brought, on its way out; see pump_snapshot.cc.
struct SnapshotPublication {
  SnapshotPart part;
  std::string id;            // of its rows, without the slot, the mark and the number
  std::uint64_t number = 0;  // of the last row
  std::string piece;
  std::size_t at = 0;                             // in `piece`
  std::vector<std::vector<pg::Value>> completed;  // rows that changes touched and left incomplete
  std::size_t next_completed = 0;
  bool opened = false;
  bool sent = false;  // all of it
};

class Pump {
 public:
  using Clock = std::chrono::steady_clock;

  // `until`: end once every transaction committed at or before it is stored. `reload`: called when
  // a reload was requested; true where that ends the session.
  Pump(const Config& config, Session& session, Wakeup& wakeup, std::optional<pg::Lsn> until,
       std::function<bool()> reload = {});

  // Returns when `until` is reached, or when a stop was requested or the configuration has changed
  // and what was in flight is settled (at most 5 s). Throws when the session must be dropped, or
  // walferry must stop.
  enum class Ended { until_reached, stopped, reloaded };
  Ended run();

  // Records stored so far: more than none is a sign that both connections worked.
  std::uint64_t stored() const { return stored_; }

 private:
  struct Table {
    bool selected = false;
    std::optional<TableEncoder> encoder;
    TableGate gate;
    RecordFormat::Table format;
    std::optional<OutboxRouter> outbox;  // its inserts are events
    std::vector<pg::Lsn> joined;         // see JoinedTables
    std::string source;                  // "table public.orders"
    // What is known of its shape's announcement; see ShapeLog.
    pg::Relation shown;
    ShapeLog::Entries* announcements = nullptr;
    std::vector<std::string> full_key;
    std::uint64_t shape = 0;
    bool announced = false;
  };

  Ended loop();
  // Reading. Each returns false when nothing was there to do.
  bool read_some();
  void handle(const pg::WalData& data);
  void handle(const pg::Keepalive& keepalive);
  void on(const pg::Begin& begin);
  void on(const pg::Commit& commit);
  void close_transaction(pg::Lsn end);
  bool is_over(pg::Lsn lsn);
  // Whether the change belongs to what was committed before a replay begins.
  template <class Change>
  bool before_replay(const Change& change);
  void on(const pg::RelationSeen& seen);
  void on(const pg::Insert& change);
  void on(const pg::Update& change);
  void on(const pg::Delete& change);
  void on(const pg::Truncate& change);
  void on(const pg::Message& message);
  void on(const pg::TypeSeen& seen);
  void on(const pg::Origin&) { replicated_ = true; }

  pg::Position count(pg::RelationId table);
  bool leaves_out_transaction() const;
  bool is_early(const pg::Relation& relation);
  void note_altered(const pg::Message& message);
  // Applies the table's `where`, if that is walferry's to do, and records what is left.
  template <class Change>
  void row(const Change& change);
  // Counts the change, and hands on its record if its table is captured.
  template <class Encode>
  void record(const pg::Relation& relation, Op op, pg::Row row, pg::Row old, Encode encode);
  bool is_in_snapshot(const pg::Relation& relation) const;
  // The same for an update that is two records.
  void record_two(const pg::Update& change);
  bool is_two(const pg::Update& change);
  HeldRecord* hold(const pg::Relation& relation, Op op, pg::Row row, pg::Row old);
  template <class Put>
  void write(const Table& table, pg::Row row, pg::Row old, HeldRecord& held, Put put);
  void hold(const pg::Message& message, pg::Position position);
  // Outboxes; see pump_outbox.cc.
  void event(const pg::Insert& change);
  void event(const pg::Message& message, const OutboxConfig& outbox, pg::Position position);
  void hold_event(const std::string& source, pg::Position position, bool committed);
  std::optional<OutboxRouter> router_of(const TableConfig& config, const pg::Relation& relation);
  bool is_stored_otherwise(pg::Position position) const;
  void announce(Table& table, const pg::Relation& relation, pg::Position position);
  void send(const Message& message);
  // Made when its first change comes, which is at `position`.
  Table& table_of(const pg::Relation& relation, pg::Position position);
  std::vector<std::string> full_key(const pg::Relation& relation,
                                    const ShapeLog::Entries& announcements, pg::Position position);
  Table make_table(const pg::Relation& relation, pg::Position position);
  void log_type_warnings();
  std::string key_for_log(std::string_view record) const;

  // Snapshots.
  void tend_snapshots(Clock::time_point now);
  void on_mark(const pg::Message& message);
  void on_order(const pg::Message& message);
  bool publish_snapshot();
  void open_publication();
  bool publish_next_row();
  void publish_row(pg::Row row);
  void write_row(const Table& table, pg::Row row);
  void publish_completed_row(pg::Row row);
  void close_publication();
  void announce_snapshot(Table& table);
  void hold_alone(std::uint64_t number);
  void word_of_snapshot(std::uint64_t number, const char* header, const std::string& value);
  void require_slot();
  void require_slot_if_due();

  // Progress.
  void settle(Clock::time_point now);
  void report_accepted();
  void save_if_due(Clock::time_point now, bool at_once);
  void confirm();
  void send_status(Clock::time_point now, bool request_reply);
  void answer();
  void refresh_tables_if_due(Clock::time_point now);
  void look_for_until(pg::Lsn wal_end);
  bool settled_and_saved();
  void warn_of_silence(Clock::time_point now);
  void store_what_is_before();
  void gather();
  void wait(Clock::time_point now);
  Ended finish(Ended how);

  const Config& config_;
  Session& session_;
  Wakeup& wakeup_;
  std::function<bool()> reload_;
  TableSelection selection_;
  std::optional<pg::Lsn> until_;
  bool until_reached_ = false;
  bool behind_until_ = false;  // what is read now
  bool passing_over_ = false;  // the transaction that is read lies before a replay's range

  pg::WholeTransactions transactions_;
  pg::PgoutputDecoder decoder_;
  std::unordered_map<std::uint32_t, Table> tables_;
  pg::TypeCatalog types_;
  StructuredValues values_{types_};
  RecordFormat format_;
  TransactionEncoder transaction_;
  pg::Timestamp commit_time_;  // of the transaction that is being read
  OutboxEvent event_;
  pg::TransactionId xid_;    // of the transaction that is being read
  bool replicated_ = false;  // the transaction came by replication, from elsewhere
  std::uint64_t ordinal_ = 0;
  pg::Lsn change_lsn_;
  MessageWriter writer_;

  std::optional<Snapshots> snapshots_;
  std::optional<SnapshotPublication> publication_;  // nothing is read from the slot meanwhile
  Table snapshot_table_;
  std::uint64_t snapshot_shape_ = 0;  // see Snapshots::shape_number()
  TransactionEncoder mark_;
  HeldRecord alone_;
  CopyRow copy_row_;
  Clock::time_point slot_checked_;

  publisher::Publisher publisher_;
  pg::AckFrontier frontier_;
  pg::ReplayWindow replay_window_;
  std::deque<MessagePosition> in_flight_;  // of the messages in flight, in order
  std::uint64_t stored_ = 0;
  MessagePosition stored_tail_;
  publisher::StreamSequence stored_last_;

  pg::Lsn received_;
  std::optional<pg::SafeLsn> saving_;     // goes to Postgres once its save is acknowledged
  std::optional<pg::SafeLsn> confirmed_;  // Postgres has been told
  Clock::time_point next_status_;
  Clock::time_point next_save_;
  Clock::time_point next_refresh_;
  Clock::time_point last_heard_;
  Clock::time_point last_wake_;
  Progress progress_;
  bool unsent_status_ = false;
  bool warned_cut_short_ = false;
  bool reported_ = false;
  bool save_accepted_ = false;
  bool reloaded_ = false;
};

}  // namespace connector
