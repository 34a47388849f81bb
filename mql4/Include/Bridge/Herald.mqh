//+------------------------------------------------------------------+
//| Herald.mqh: who is told that a broker call begins                 |
//|                                                                   |
//| The link derives from it and sends BUSY, so that a slow broker is |
//| not taken for a dead Advisor (protocol.md 14).                    |
//+------------------------------------------------------------------+
#property strict

class CHerald {
public:
   virtual void Busy(long number, string rid);
};

//--- Called right before a broker call. `number` is the server's request number; 0: none.
void CHerald::Busy(long number, string rid) {
}
//+------------------------------------------------------------------+
