//+------------------------------------------------------------------+
//| core_store.mqh: keys, clock, journal and state, called by lines   |
//+------------------------------------------------------------------+
#property strict

CKeys     g_keys;
CClock    g_clock;
CDeadline g_deadline;
CJournal  g_journal;
CJournal  g_other;
CState    g_state;

void StoreStart(void) {
   g_clock.Start();
}

void StoreStop(void) {
   g_journal.Close();
   g_other.Close();
}

string StoreBool(bool value) { return(value ? "1" : "0"); }

//--- The set that says `kid`, and what it may sign.
string StoreKeys(string what, string &w[]) {
   uchar key[], reply[];
   string why = "";
   string purpose = "";
   if(what == "keys_load") {
      bool good = g_keys.Load(w[1], why);
      return(StoreBool(good) + "\t" + why);
   }
   if(what == "keys_changed") return(StoreBool(g_keys.Changed()));
   if(what == "keys_head") {
      bool event = g_keys.EventKey(key);
      return(g_keys.Account() + "\t" + StoreBool(g_keys.Paper()) + "\t" + g_keys.Endpoint() + "\t"
             + g_keys.ServerPublic() + "\t" + g_keys.CurvePublic() + "\t" + g_keys.CurveSecret()
             + "\t" + g_keys.EventKid() + "\t" + (event ? BytesHex(key) : "-") + "\t"
             + IntegerToString(g_keys.Count()) + "\t" + StoreBool(g_keys.LinkChanged()));
   }
   if(what == "keys_grants") {
      bool granted = g_keys.Purpose(g_keys.Find(w[1]), w[2], purpose);
      return(StoreBool(granted) + "\t" + purpose);
   }
   int i = g_keys.Find(w[1]);
   bool order = g_keys.OrderKey(i, key);
   bool has = g_keys.ReplyKey(w[1], reply);
   return(IntegerToString(i) + "\t" + g_keys.Scope(i) + "\t" + (order ? BytesHex(key) : "-") + "\t"
          + (has ? BytesHex(reply) : "-"));
}

string StoreClock(string what, string &w[]) {
   if(what == "clock_now") {
      long wall_ms = g_clock.WallMs();
      g_clock.Poll();
      return(IntegerToString(wall_ms) + "\t" + IntegerToString(g_clock.MonoMs()) + "\t"
             + StoreBool(g_clock.Healthy()) + "\t" + IntegerToString(g_clock.StartedMs()));
   }
   if(what == "clock_see") {
      g_clock.Observe(StringToInteger(w[1]), StringToInteger(w[2]));
      return(StoreBool(g_clock.Healthy()) + "\t" + IntegerToString(g_clock.JumpMs()));
   }
   if(what == "clock_start") {
      g_clock.Begin(StringToInteger(w[1]), StringToInteger(w[2]));
      return("1");
   }
   if(what == "deadline_set") {
      g_deadline.Set(StringToInteger(w[1]), StringToInteger(w[2]), StringToInteger(w[3]));
      return("1");
   }
   return(StoreBool(g_deadline.Passed(StringToInteger(w[1]), StringToInteger(w[2]))) + "\t"
          + IntegerToString(g_deadline.Remaining(StringToInteger(w[1]), StringToInteger(w[2]))));
}

string StoreRow(string rid) {
   CJournalRow row;
   if(!g_journal.Find(rid, row)) return("0");
   return("1\t" + StoreBool(row.begun) + StoreBool(row.ended) + StoreBool(row.tomb)
          + StoreBool(row.protecting) + "\t" + row.kid + "\t" + row.op + "\t" + row.order_hash
          + "\t" + IntegerToString(row.ticket) + "\t" + IntegerToString(row.intent_ms) + "\t"
          + IntegerToString(row.market_ms) + "\t" + row.token + "\t" + row.body + "\t"
          + row.status + "\t" + row.word + "\t" + row.protect);
}

//--- Many rows at once: intent and result of `count` ids from `first` on.
string StoreFill(string &w[]) {
   CJournalRow row;
   int done = 0;
   int first = (int)StringToInteger(w[1]);
   int count = (int)StringToInteger(w[2]);
   for(int i = first; i < first + count; i++) {
      row.Clear();
      row.rid = StringFormat("%032x", i);
      row.kid = "t1-fill";
      row.op = "OPEN";
      row.token = "token";
      row.body = "{}";
      if(!g_journal.Intent(row, StringToInteger(w[3]))) break;
      row.status = "FILLED";
      row.word = "{\"rid\":\"" + row.rid + "\"}";
      if(!g_journal.Result(row, StringToInteger(w[3]))) break;
      done++;
   }
   return(IntegerToString(done));
}

string StoreJournalState(void) {
   string open = "";
   string protect = "";
   for(int i = 0; i < g_journal.OpenCount(); i++) open = open + g_journal.OpenRid(i) + ",";
   for(int i = 0; i < g_journal.ProtectCount(); i++)
      protect = protect + g_journal.ProtectRid(i) + ",";
   return(g_journal.HealthText() + "\t" + StoreBool(g_journal.CreatedNow()) + "\t"
          + IntegerToString(g_journal.CreatedMs()) + "\t" + IntegerToString(g_journal.ForgottenMs())
          + "\t" + IntegerToString(g_journal.Rows()) + "\t" + open + "\t" + protect + "\t"
          + g_journal.Why());
}

string StoreFlatten(string what, string &w[]) {
   int tickets[];
   string parts[];
   string list = "";
   long seen_ms = 0;
   if(what == "j_flatten") {
      int count = StringLen(w[2]) > 0 ? StringSplit(w[2], ',', parts) : 0;
      ArrayResize(tickets, count);
      for(int i = 0; i < count; i++) tickets[i] = (int)StringToInteger(parts[i]);
      return(StoreBool(g_journal.Flatten(w[1], tickets, StringToInteger(w[3]))));
   }
   bool seen = g_journal.FlattenTickets(w[1], tickets, seen_ms);
   for(int i = 0; i < ArraySize(tickets); i++) list = list + IntegerToString(tickets[i]) + ",";
   return(StoreBool(seen) + "\t" + list + "\t" + IntegerToString(seen_ms));
}

string StoreJournal(string what, string &w[]) {
   CJournalRow row;
   string why = "";
   if(what == "j_open" || what == "j_other") {
      bool good = what == "j_open"
                  ? g_journal.Open(w[1], w[2], w[3], StringToInteger(w[4]), why)
                  : g_other.Open(w[1], w[2], w[3], StringToInteger(w[4]), why);
      return(StoreBool(good) + "\t" + why);
   }
   if(what == "j_close") {
      g_journal.Close();
      return("1");
   }
   if(what == "j_state") return(StoreJournalState());
   if(what == "j_find") return(StoreRow(w[1]));
   if(what == "j_fill") return(StoreFill(w));
   if(what == "j_retry") return(StoreBool(g_journal.Retry()));
   if(what == "j_flatten" || what == "j_tickets") return(StoreFlatten(what, w));
   if(what == "j_tomb") return(StoreBool(g_journal.Tomb(w[1], w[2], w[3], StringToInteger(w[4]))));
   if(what == "j_protect")
      return(StoreBool(g_journal.Protect(w[1], w[2], w[3] == "1", StringToInteger(w[4]))));
   row.rid = w[1];
   row.kid = w[2];
   row.op = w[3];
   row.order_hash = w[4];
   if(what == "j_result") {
      row.status = w[5];
      row.word = w[6];
      return(StoreBool(g_journal.Result(row, StringToInteger(w[7]))));
   }
   row.ticket = StringToInteger(w[5]);
   row.market_ms = StringToInteger(w[6]);
   row.token = w[7];
   row.body = w[8];
   return(StoreBool(g_journal.Intent(row, StringToInteger(w[9]))));
}

string StoreState(string what, string &w[]) {
   string why = "";
   if(what == "s_open") {
      bool good = g_state.Open(w[1], w[2] == "1", why);
      return(StoreBool(good) + "\t" + why);
   }
   if(what == "s_show")
      return(g_state.LevelText() + "\t" + g_state.Cause() + "\t" + g_state.Rid() + "\t"
             + g_state.Reason());
   if(what == "s_lower") return(StoreBool(g_state.Lower((int)StringToInteger(w[1]), w[2], w[3])));
   if(what == "s_resume") return(StoreBool(g_state.Resume(w[1])));
   if(what == "s_beat") {
      long sequence = StringToInteger(w[2]);
      return(IntegerToString(g_state.Heartbeat(w[1], sequence, StringToInteger(w[3]))));
   }
   if(what == "s_dead") {
      g_state.DeadMan((int)StringToInteger(w[1]), false, StringToInteger(w[2]));
      return(g_state.LevelText() + "\t" + g_state.Cause());
   }
   if(what == "s_flush") return(StoreBool(g_state.Flush()));
   if(what == "s_modified")
      return(StoreBool(g_state.ModifyApplied(StringToInteger(w[1]), StringToInteger(w[2]))));
   return(IntegerToString(g_state.ModifyIat(StringToInteger(w[1]))));
}

string StoreAnswer(string what, string &w[]) {
   if(StringFind(what, "keys_") == 0) return(StoreKeys(what, w));
   if(StringFind(what, "clock_") == 0 || StringFind(what, "deadline_") == 0)
      return(StoreClock(what, w));
   if(StringFind(what, "j_") == 0) return(StoreJournal(what, w));
   if(StringFind(what, "s_") == 0) return(StoreState(what, w));
   if(what == "self_test") {
      CSelfTest test;
      bool passed = test.Run();
      string report = test.Report();
      StringReplace(report, "\n", "\t");
      return(StoreBool(passed) + "\t" + report);
   }
   return("?");
}
//+------------------------------------------------------------------+
