import { useMutation } from "@tanstack/react-query";
import { produceTexts } from "../api/records";
import { redriveGroup } from "../api/redrive";
import { deadLetterOf, withoutDeath } from "../lib/dead-letter";
import { draftText, type StoredRecord } from "../lib/record";
import { toast, toastProblem } from "../ui/toast";

const STAYS = "The letter stays until it is deleted by age or trim.";

/**
 * Sends a dead letter back where it came from. If it is in the dead-letter topic of `group`,
 * the group moves it and notes that, so that no later redrive moves it again.
 */
export function useSendBack(project: string, group: string | undefined) {
  return useMutation({
    mutationFn: (letter: StoredRecord) =>
      group !== undefined ? redrive(project, group, letter) : produce(project, letter),
    onSuccess: toast,
    onError: toastProblem,
  });
}

async function redrive(project: string, group: string, { partition, offset }: StoredRecord): Promise<string> {
  const offsets = [{ partition, from: offset, to: offset + 1 }];
  const { moved, letters } = await redriveGroup(project, group, { filter: { offsets } });
  if (moved > 0) return `Sent back. ${STAYS}`;
  const refusal = letters[0]?.refusal;
  return refusal ? `It cannot be sent back: ${refusal}` : "It was sent back before.";
}

async function produce(project: string, letter: StoredRecord): Promise<string> {
  const topic = deadLetterOf(letter)?.topic;
  if (topic === undefined) throw new Error("This record is no dead letter.");
  await produceTexts({ project, topic }, [draftText(withoutDeath(letter))]);
  return `Sent back to ${topic}. ${STAYS}`;
}
