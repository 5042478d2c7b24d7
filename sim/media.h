/* sim/media.h -- audio and images: forms come in, their parts are told back; bytes go out. */
#ifndef SIM_MEDIA_H
#define SIM_MEDIA_H

#include "ask.h"

void transcription_answer(struct content *c, const struct ask *a); /* and translation */
void speech_answer(struct content *c, const struct ask *a);
void images_answer(struct content *c, const struct ask *a); /* generations, edits, variations */

#endif
