// Writes the pages that are made from the code. A test compares them: docs/generate/generated.test.ts.
import { writeFileSync } from 'node:fs';
import { generatedPages } from './pages.ts';

for (const { file, content } of generatedPages()) writeFileSync(file, content);
