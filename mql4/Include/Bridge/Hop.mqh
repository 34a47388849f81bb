//+-------------------------------------------------------------------+
//| Hop.mqh: one message of the server, read strictly                 |
//|                                                                   |
//|   [empty]["ZTH5"][head][empty]  then, with an order's frames,     |
//|   ["ZTB5"][token][body]                                           |
//|                                                                   |
//| protocol.md 14. Nothing here is authentic beyond CURVE: the order |
//| itself is verified by the desk. Whatever is not exactly one of    |
//| the table's forms is no message; the caller drops and counts it.  |
//+-------------------------------------------------------------------+
#property strict

#define HOP_HEAD_BYTES_MAX  200
#define HOP_PARTS_MAX       6
#define HOP_FRAMES          4
#define HOP_FRAMES_ORDER    7
#define HOP_NUMBER_DIGITS   18
#define HOP_TOKEN_BYTES_MAX 512
#define HOP_BODY_BYTES_MAX  4096

class CHop {
private:
   int m_count;
   bool m_order;

   bool IsTag(const uchar &frame[], string tag) const;
   bool ReadHead(const uchar &head[]);
   bool Fits(const int parts, const bool order) const;
   bool Known(void) const;
   bool Digits(string text) const;

public:
   string word;
   string part[HOP_PARTS_MAX];
   long number;
   uchar token[];
   uchar body[];

   CHop(void);
   void Clear(void);
   bool TakeFrame(const int index, const uchar &frame[], const int size);
   bool Complete(const int frames);
   bool HasOrder(void) const { return(m_order); }
   bool Number(const int index, long &value) const;
};

CHop::CHop(void) {
   Clear();
}

void CHop::Clear(void) {
   m_count = 0;
   m_order = false;
   word = "";
   number = 0;
   for(int i = 0; i < HOP_PARTS_MAX; i++) part[i] = "";
   ArrayResize(token, 0);
   ArrayResize(body, 0);
}

bool CHop::IsTag(const uchar &frame[], string tag) const {
   int size = ArraySize(frame);
   if(size != StringLen(tag)) return(false);
   for(int i = 0; i < size; i++)
      if(frame[i] != StringGetCharacter(tag, i)) return(false);
   return(true);
}

//--- the frame at `index` as received; `size` is what was sent, more than the frame if it was cut
bool CHop::TakeFrame(const int index, const uchar &frame[], const int size) {
   if(size != ArraySize(frame)) return(false);
   switch(index) {
      case 0: return(size == 0);
      case 1: return(IsTag(frame, "ZTH5"));
      case 2: return(ReadHead(frame));
      case 3: return(size == 0);
      case 4: return(IsTag(frame, "ZTB5"));
      case 5:
         ArrayResize(token, size);
         if(size > 0) ArrayCopy(token, frame, 0, 0, size);
         return(size > 0 && size <= HOP_TOKEN_BYTES_MAX);
      case 6:
         m_order = true;
         ArrayResize(body, size);
         if(size > 0) ArrayCopy(body, frame, 0, 0, size);
         return(size <= HOP_BODY_BYTES_MAX);
      default: break;
   }
   return(false);
}

//--- word and parts between colons, printable ASCII
bool CHop::ReadHead(const uchar &head[]) {
   int size = ArraySize(head);
   if(size < 1 || size > HOP_HEAD_BYTES_MAX) return(false);
   int begin = 0;
   m_count = 0;
   for(int i = 0; i <= size; i++) {
      if(i == size || head[i] == ':') {
         if(m_count >= HOP_PARTS_MAX || i == begin) return(false);
         part[m_count] = CharArrayToString(head, begin, i - begin, CP_UTF8);
         m_count++;
         begin = i + 1;
         continue;
      }
      if(head[i] < 0x20 || head[i] > 0x7E) return(false);
   }
   word = part[0];
   return(true);
}

//--- whether all frames were there and the head is one of the table's, with the parts it has
bool CHop::Complete(const int frames) {
   if(frames != (m_order ? HOP_FRAMES_ORDER : HOP_FRAMES) || !Known()) return(false);
   if(word == "WELCOME") return(true);
   return(Number(1, number) && number > 0);
}

bool CHop::Fits(const int parts, const bool order) const {
   return(m_count == parts && m_order == order);
}

bool CHop::Known(void) const {
   if(word == "WELCOME" || word == "ACCOUNT" || word == "HEALTH") return(Fits(2, false));
   if(word == "EXEC") return(Fits(3, true) && Digits(part[2]));
   if(word == "FORWARD") return(Fits(2, true));
   if(word == "STATUS" || word == "QUOTE" || word == "SYMBOL") return(Fits(3, false));
   if(word == "TAG" || word == "POSITIONS" || word == "ORDERS")
      return(Fits(3, false) && Digits(part[2]));
   if(word == "TOMBSTONE") return(Fits(4, false));
   if(word == "HISTORY")
      return(Fits(5, false) && Digits(part[2]) && Digits(part[3]) && Digits(part[4]));
   if(word == "CHECK") return(Fits(5, false));
   return(false);
}

//--- 0, or a number without leading zeros that fits 63 bits
bool CHop::Digits(string text) const {
   int chars = StringLen(text);
   if(chars < 1 || chars > HOP_NUMBER_DIGITS) return(false);
   for(int i = 0; i < chars; i++) {
      int c = StringGetCharacter(text, i);
      if(c < '0' || c > '9') return(false);
   }
   return(chars == 1 || StringGetCharacter(text, 0) != '0');
}

bool CHop::Number(const int index, long &value) const {
   if(index < 0 || index >= m_count || !Digits(part[index])) return(false);
   value = StringToInteger(part[index]);
   return(true);
}
//+-------------------------------------------------------------------+
