#include "chat/record.h"

const char *record_status_name(enum record_status status)
{
    switch (status) {
    case RECORD_OPEN: return "open";
    case RECORD_SUCCESS: return "success";
    case RECORD_CACHED: return "cached";
    case RECORD_ERROR: return "error";
    case RECORD_REFUSED: return "refused";
    case RECORD_CLIENT_GONE: return "client_gone";
    case RECORD_UPSTREAM_CUT: return "upstream_cut";
    case RECORD_CRASHED: return "crashed";
    case RECORD_STATUS_COUNT: break;
    }
    return "unknown"; /* a stored value of a later version */
}

const char *record_dialect_name(enum record_dialect dialect)
{
    switch (dialect) {
    case RECORD_DIALECT_OWN: return "own";
    case RECORD_DIALECT_OPENAI: return "openai";
    case RECORD_DIALECT_ANTHROPIC: return "anthropic";
    case RECORD_DIALECT_GEMINI: return "gemini";
    case RECORD_DIALECT_RESPONSES: return "responses";
    case RECORD_DIALECT_BEDROCK: return "bedrock";
    case RECORD_DIALECT_OLLAMA: return "ollama";
    case RECORD_DIALECT_COUNT: break;
    }
    return "unknown";
}
