import { expect, it } from 'vitest';
import { breakingChanges } from './breaking.ts';
import { agreedSchema, currentSchema, generatedFiles, textOf } from './files.ts';

it('what is generated from the .proto files is what they say', async () => {
  for (const { file, text } of await generatedFiles(currentSchema())) expect(textOf(file), file).toBe(text);
});

it('the .proto files break nothing that was agreed on', () => {
  expect(breakingChanges(agreedSchema(), currentSchema())).toEqual([]);
  expect(agreedSchema().messages.length).toBeGreaterThan(15);
});
