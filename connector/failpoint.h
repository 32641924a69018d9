// Places where the tests kill the daemon: WALFERRY_FAILPOINT="name:n" makes it send itself SIGKILL
// when it passes through `name` for the n-th time. Without the variable each is one comparison.
#pragma once

namespace connector {

enum class Failpoint {
  none,
  before_publish,       // a record is about to be sent
  stored_unacked,       // an ack has arrived and is not looked at yet
  acked_unsaved,        // the position is about to be saved
  saved_unconfirmed,    // the position is saved, Postgres is not told yet
  after_publication,    // the publications are made
  after_intent,         // the intent is saved, the slot is not made
  shape_saved,          // a table's shape is saved, its schema record is not sent yet
  after_slot_created,   // the slot is made, its consistent point is not saved
  before_low_mark,      // a chunk of a snapshot is about to be read
  snapshot_piece,       // a part of it has been read
  before_high_mark,     // it has been read
  mid_chunk,            // one of its rows is about to be sent
  chunk_stored,         // it is acknowledged, and the snapshot's progress is not saved
  progress_saved,       // it is saved
  order_read,           // an order for snapshots has been read, and is not saved
  order_saved,          // it is saved
  publication_altered,  // tables have joined the publication, where is not read yet
  before_batch,         // a polled batch is about to be saved
  batch_saved,          // it is saved, nothing of it is sent
  batch_stored,         // it is acknowledged, which is not saved
  before_removal,       // published rows are about to be deleted
};

void pass(Failpoint failpoint);

}  // namespace connector
