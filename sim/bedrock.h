/* sim/bedrock.h -- AWS Bedrock's Converse and ConverseStream. */
#ifndef SIM_BEDROCK_H
#define SIM_BEDROCK_H

#include "ask.h"

void bedrock_read(struct prompt *p, const struct ask *a);
void bedrock_answer(struct content *c, const struct ask *a);

#endif
