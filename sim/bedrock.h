/* sim/bedrock.h -- AWS Bedrock: Converse, ConverseStream, and Claude by its own messages. */
#ifndef SIM_BEDROCK_H
#define SIM_BEDROCK_H

#include "ask.h"

void bedrock_read(struct prompt *p, const struct ask *a);
void bedrock_answer(struct content *c, const struct ask *a);
void bedrock_invoke(struct content *c, const struct ask *a); /* read by anthropic_read() */

#endif
