/* Keeps libzmq.dll in the process until the process ends.

   Unloading it while a context lives leaves libzmq's own threads running in code that is gone, which
   kills the terminal. A terminal unloads an EA's DLLs whenever it likes, so the module pins itself.
   https://learn.microsoft.com/windows/win32/api/libloaderapi/nf-libloaderapi-getmodulehandleexw */

#include <windows.h>

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, LPVOID reserved)
{
    HMODULE self;

    (void)module;
    (void)reserved;
    if (reason != DLL_PROCESS_ATTACH)
        return TRUE;
    return GetModuleHandleExW(
        GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
        (LPCWSTR)&DllMain, &self);
}
