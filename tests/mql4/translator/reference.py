"""The names of MQL4's built-in functions (docs.mql4.com/function_indices), for messages and L321.

A name here that the harness's headers do not declare is one that a program may use in the terminal
but that cannot be tried out here.
"""

from __future__ import annotations

from typing import Final

from tests.mql4.translator.vocabulary import words

__all__ = ["FUNCTIONS"]

FUNCTIONS: Final = words(
    """
    AccountBalance AccountCompany AccountCredit AccountCurrency AccountEquity AccountFreeMargin
    AccountFreeMarginCheck AccountFreeMarginMode AccountInfoDouble AccountInfoInteger
    AccountInfoString AccountLeverage AccountMargin AccountName AccountNumber AccountProfit
    AccountServer AccountStopoutLevel AccountStopoutMode Alert ArrayBsearch ArrayCompare
    ArrayCopy ArrayCopyRates ArrayCopySeries ArrayDimension ArrayFill ArrayFree ArrayGetAsSeries
    ArrayInitialize ArrayIsDynamic ArrayIsSeries ArrayMaximum ArrayMinimum ArrayRange
    ArrayResize ArraySetAsSeries ArraySize ArraySort CharArrayToString CharToStr CharToString
    ChartApplyTemplate ChartClose ChartFirst ChartGetDouble ChartGetInteger ChartGetString
    ChartID ChartIndicatorAdd ChartIndicatorDelete ChartIndicatorName ChartIndicatorsTotal
    ChartNavigate ChartNext ChartOpen ChartPeriod ChartPriceOnDropped ChartRedraw
    ChartSaveTemplate ChartScreenShot ChartSetDouble ChartSetInteger ChartSetString
    ChartSetSymbolPeriod ChartSymbol ChartTimeOnDropped ChartTimePriceToXY ChartWindowFind
    ChartWindowOnDropped ChartXOnDropped ChartXYToTimePrice ChartYOnDropped CheckPointer
    ColorToARGB ColorToString Comment CopyClose CopyHigh CopyLow CopyOpen CopyRates CopySpread
    CopyTickVolume CopyTime CryptDecode CryptEncode Day DayOfWeek DayOfYear DebugBreak
    DoubleToStr DoubleToString EnumToString EventChartCustom EventKillTimer
    EventSetMillisecondTimer EventSetTimer ExpertRemove FileClose FileCopy FileDelete
    FileFindClose FileFindFirst FileFindNext FileFlush FileGetInteger FileIsEnding FileIsExist
    FileIsLineEnding FileMove FileOpen FileOpenHistory FileReadArray FileReadBool
    FileReadDatetime FileReadDouble FileReadFloat FileReadInteger FileReadLong FileReadNumber
    FileReadString FileReadStruct FileSeek FileSize FileTell FileWrite FileWriteArray
    FileWriteDouble FileWriteFloat FileWriteInteger FileWriteLong FileWriteString
    FileWriteStruct FolderClean FolderCreate FolderDelete GetLastError GetMicrosecondCount
    GetPointer GetTickCount GlobalVariableCheck GlobalVariableDel GlobalVariableGet
    GlobalVariableName GlobalVariableSet GlobalVariableSetOnCondition GlobalVariableTemp
    GlobalVariableTime GlobalVariablesDeleteAll GlobalVariablesFlush GlobalVariablesTotal
    HideTestIndicators Hour IndicatorBuffers IndicatorCounted IndicatorDigits IndicatorSetDouble
    IndicatorSetInteger IndicatorSetString IndicatorShortName IntegerToString IsConnected IsDemo
    IsDllsAllowed IsExpertEnabled IsLibrariesAllowed IsOptimization IsStopped IsTesting
    IsTradeAllowed IsTradeContextBusy IsVisualMode MQLInfoInteger MQLInfoString MQLSetInteger
    MarketInfo MathAbs MathArccos MathArcsin MathArctan MathCeil MathCos MathExp MathFloor
    MathIsValidNumber MathLog MathLog10 MathMax MathMin MathMod MathPow MathRand MathRound
    MathSin MathSqrt MathSrand MathTan MessageBox Minute Month NormalizeDouble ObjectCreate
    ObjectDelete ObjectDescription ObjectFind ObjectGet ObjectGetDouble ObjectGetFiboDescription
    ObjectGetInteger ObjectGetShiftByValue ObjectGetString ObjectGetTimeByValue
    ObjectGetValueByShift ObjectGetValueByTime ObjectMove ObjectName ObjectSet ObjectSetDouble
    ObjectSetFiboDescription ObjectSetInteger ObjectSetString ObjectSetText ObjectType
    ObjectsDeleteAll ObjectsTotal OrderClose OrderCloseBy OrderClosePrice OrderCloseTime
    OrderComment OrderCommission OrderDelete OrderExpiration OrderLots OrderMagicNumber
    OrderModify OrderOpenPrice OrderOpenTime OrderPrint OrderProfit OrderSelect OrderSend
    OrderStopLoss OrderSwap OrderSymbol OrderTakeProfit OrderTicket OrderType OrdersHistoryTotal
    OrdersTotal Period PeriodSeconds PlaySound Print PrintFormat RefreshRates ResetLastError
    ResourceCreate ResourceFree ResourceReadImage ResourceSave Seconds SendFTP SendMail
    SendNotification SeriesInfoInteger SetIndexArrow SetIndexBuffer SetIndexDrawBegin
    SetIndexEmptyValue SetIndexLabel SetIndexShift SetIndexStyle SetLevelStyle SetLevelValue
    SetUserError ShortArrayToString ShortToString SignalBaseGetDouble SignalBaseGetInteger
    SignalBaseGetString SignalBaseSelect SignalBaseTotal SignalInfoGetDouble
    SignalInfoGetInteger SignalInfoGetString SignalInfoSetDouble SignalInfoSetInteger
    SignalSubscribe SignalUnsubscribe Sleep StrToDouble StrToInteger StrToTime StringAdd
    StringBufferLen StringCompare StringConcatenate StringFill StringFind StringFormat
    StringGetChar StringGetCharacter StringInit StringLen StringReplace StringSetChar
    StringSetCharacter StringSplit StringSubstr StringToCharArray StringToColor StringToDouble
    StringToInteger StringToLower StringToShortArray StringToTime StringToUpper StringTrimLeft
    StringTrimRight StructToTime Symbol SymbolInfoDouble SymbolInfoInteger
    SymbolInfoSessionQuote SymbolInfoSessionTrade SymbolInfoString SymbolInfoTick SymbolName
    SymbolSelect SymbolsTotal TerminalClose TerminalCompany TerminalInfoDouble
    TerminalInfoInteger TerminalInfoString TerminalName TerminalPath TesterStatistics
    TextGetSize TextOut TextSetFont TimeCurrent TimeDay TimeDayOfWeek TimeDayOfYear
    TimeDaylightSavings TimeGMT TimeGMTOffset TimeHour TimeLocal TimeMinute TimeMonth
    TimeSeconds TimeToStr TimeToString TimeToStruct TimeYear UninitializeReason WebRequest
    WindowBarsPerChart WindowExpertName WindowFind WindowFirstVisibleBar WindowHandle
    WindowIsVisible WindowOnDropped WindowPriceMax WindowPriceMin WindowPriceOnDropped
    WindowRedraw WindowScreenShot WindowTimeOnDropped WindowXOnDropped WindowYOnDropped
    WindowsTotal Year ZeroMemory iAC iAD iADX iAO iATR iAlligator iBWMFI iBands iBandsOnArray
    iBarShift iBars iBearsPower iBullsPower iCCI iCCIOnArray iClose iCustom iDeMarker iEnvelopes
    iEnvelopesOnArray iForce iFractals iGator iHigh iHighest iIchimoku iLow iLowest iMA iMACD
    iMAOnArray iMFI iMomentum iMomentumOnArray iOBV iOpen iOsMA iRSI iRSIOnArray iRVI iSAR
    iStdDev iStdDevOnArray iStochastic iTime iVolume iWPR
    """
)
