//+------------------------------------------------------------------+
//| Scribe.mqh: an outcome becomes a signed record, then a journal    |
//| line, then an answer                                              |
//|                                                                   |
//| protocol.md 14: nothing is attested that is not final, and what   |
//| is final is attested under the kid of the request itself.         |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Room.mqh>
#include <Bridge/Record.mqh>

class CScribe {
private:
   bool   Sign(CRoom &room, CRecord &record, CWord &word);
   void   Number(CRecord &record, CRequest &request, CWord &word);

public:
   bool   Attest(CRoom &room, CRequest &request, CWord &word);
   bool   Finish(CRoom &room, CRequest &request, CWord &word);
   bool   Deny(CRoom &room, CRequest &request, CWord &word);
   bool   Conflict(CRoom &room, CRequest &request, CWord &word);
   bool   Tomb(CRoom &room, string rid, string kid, CWord &word);
   bool   Stored(CRoom &room, string rid, CWord &word);
};

//--- Write the record of a final word and sign it under its own kid; false: no such key here,
//    and the word is UNKNOWN again.
bool CScribe::Attest(CRoom &room, CRequest &request, CWord &word) {
   CRecord record;
   word.rid = request.rid;
   record.kid = request.token.kid;
   record.rid = request.rid;
   record.op = request.op;
   record.order_hash = request.order_hash;
   Number(record, request, word);
   if(Sign(room, record, word)) return(true);
   room.alerts.Raise("error", "EA_KEY", "no key to attest " + request.rid + " of key set "
                     + request.token.kid + ": put its key file back");
   word.Unknown(request.rid);
   return(false);
}

//--- What a record says (protocol.md 14): of a CLOSE the closed ticket and its close price; of
//    an order that did nothing the signed ticket and no number.
void CScribe::Number(CRecord &record, CRequest &request, CWord &word) {
   record.ticket = request.ticket;
   if(word.status == STATUS_DENIED || word.status == STATUS_REJECTED) return;
   if(word.ticket > 0) record.ticket = word.ticket;
   record.volume = word.volume;
   record.price = request.op == OP_CLOSE ? word.close_price : word.price;
   record.sl = word.sl;
   record.tp = word.tp;
}

bool CScribe::Sign(CRoom &room, CRecord &record, CWord &word) {
   uchar key[];
   record.acct = room.keys.Account();
   record.status = word.status;
   record.code = word.code;
   record.time = room.clock.WallMs();
   bool signed_it = room.keys.ReplyKey(record.kid, key)
                    && record.Sign(key, word.record, word.mac);
   BytesWipe(key);
   return(signed_it);
}

//--- Attest and journal. A result that the disk does not take is kept by the journal and
//    written before anything else begins; it is true all the same.
bool CScribe::Finish(CRoom &room, CRequest &request, CWord &word) {
   CJournalRow row;
   word.market_ms = room.market.UtcNowMs();
   if(!Attest(room, request, word)) return(false);
   request.ToRow(row);
   row.status = word.status;
   row.word = word.Json();
   if(!room.journal.Result(row, room.clock.WallMs()))
      room.alerts.Raise("error", "JOURNAL_" + room.journal.HealthText(), room.journal.Why());
   room.watch.Drop(request.rid);
   return(true);
}

//--- The refusal that a check left in `word`: proven that nothing began. Always false.
bool CScribe::Deny(CRoom &room, CRequest &request, CWord &word) {
   word.status = STATUS_DENIED;
   word.ClearNumbers();
   word.ticket = request.ticket;
   word.symbol = request.body.symbol;
   word.type = request.body.type;
   bool written = Finish(room, request, word);
   return(false && written);
}

//--- Other bytes under a known request id: signed about these bytes, and not stored.
bool CScribe::Conflict(CRoom &room, CRequest &request, CWord &word) {
   word.Clear();
   word.status = STATUS_DENIED;
   word.code = CODE_CONFLICT;
   return(Attest(room, request, word));
}

//--- The word about a request id that never arrived and never will run: zero hash, op FENCE.
bool CScribe::Tomb(CRoom &room, string rid, string kid, CWord &word) {
   CRecord record;
   word.Clear();
   word.rid = rid;
   word.status = STATUS_DENIED;
   word.code = CODE_FENCED;
   word.market_ms = room.market.UtcNowMs();
   record.kid = kid;
   record.rid = rid;
   record.op = OP_FENCE;
   record.order_hash = NO_ORDER_HASH;
   // A tombstone that could be lost is none: it is said only once it is on file.
   if(!Sign(room, record, word)
      || !room.journal.Tomb(rid, kid, word.Json(), room.clock.WallMs())) {
      word.Unknown(rid);
      return(false);
   }
   room.watch.Drop(rid);
   return(true);
}

//--- What the journal knows of a request id: its word, or UNKNOWN while it has none.
bool CScribe::Stored(CRoom &room, string rid, CWord &word) {
   CJournalRow row;
   if(!room.journal.Find(rid, row)) return(false);
   if(!row.ended || !word.Read(row.word)) word.Unknown(rid);
   return(true);
}
//+------------------------------------------------------------------+
