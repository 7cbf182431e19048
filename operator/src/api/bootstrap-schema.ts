import { DEFAULTS } from './defaults.ts';
import type { Schema } from './open-api.ts';
import { secretReference } from './secret-reference.ts';

/** spec.bootstrap: how a new volume begins, and what of that it keeps. */

const identifier = { minLength: 1, maxLength: 63, pattern: '^[A-Za-z_][A-Za-z0-9_-]*$' } as const;

/** A locale's or an encoding's name, as initdb takes it. */
function localeName(description: string): Schema {
  return { type: 'string', description, minLength: 1, maxLength: 128, pattern: '^[A-Za-z0-9_.@-]+$' };
}

function statements(description: string): Schema {
  return {
    type: 'array',
    description,
    maxItems: 100,
    items: { type: 'string', minLength: 1, maxLength: 16384 },
    'x-kubernetes-list-type': 'atomic',
  };
}

function statementReferences(where: string): Schema {
  const references = (kind: string): Schema => ({
    type: 'array',
    description: `Keys of ${kind} in the same namespace.`,
    maxItems: 100,
    items: {
      type: 'object',
      required: ['name', 'key'],
      properties: {
        name: {
          type: 'string',
          description: 'Name of the object.',
          minLength: 1,
          maxLength: 253,
          pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
        },
        key: { type: 'string', description: 'Its key.', minLength: 1, maxLength: 253, pattern: '^[-._a-zA-Z0-9]+$' },
      },
    },
    'x-kubernetes-list-type': 'atomic',
  });
  return {
    type: 'object',
    description: `SQL that stands in Secrets and ConfigMaps, run ${where} after what is written here; Secrets first.`,
    properties: { secretRefs: references('Secrets'), configMapRefs: references('ConfigMaps') },
  };
}

export const bootstrap: Schema = {
  type: 'object',
  description: 'How a new volume begins. It counts only the first time; a volume that exists is opened as it is.',
  default: {},
  properties: {
    initdb: {
      type: 'object',
      description: 'Start with a fresh database system.',
      default: {},
      properties: {
        database: {
          type: 'string',
          description: 'The first database, for the application.',
          default: DEFAULTS.database,
          ...identifier,
          'x-kubernetes-validations': [
            { rule: "!(self in ['template0', 'template1'])", message: "it is one of PostgreSQL's own: choose another name" },
          ],
        },
        owner: {
          type: 'string',
          description: "The application's role, which owns that database.",
          default: DEFAULTS.owner,
          ...identifier,
          'x-kubernetes-validations': [
            { rule: "self != 'postgres' && !self.startsWith('pg_')", message: "it is one of PostgreSQL's own: choose another name" },
          ],
        },
        secret: secretReference(
          "Secret of type kubernetes.io/basic-auth with the owner's username and password. Made as NAME-app when absent.",
        ),
        encoding: localeName('Encoding of the databases. UTF8 when absent.'),
        locale: localeName("Locale of initdb's --locale. C when absent."),
        localeCollate: localeName("Order of texts (initdb's --lc-collate)."),
        localeCType: localeName("Kinds of characters (initdb's --lc-ctype)."),
        localeProvider: {
          type: 'string',
          description: 'Who provides the locale. When nothing is said of locales, builtin with C.UTF-8, which no system library changes.',
          enum: ['builtin', 'icu', 'libc'],
        },
        icuLocale: localeName('ICU locale, with localeProvider icu.'),
        icuRules: { type: 'string', description: 'Rules added to the ICU locale.', minLength: 1, maxLength: 4096 },
        builtinLocale: localeName('C, C.UTF-8 or PG_UNICODE_FAST, with localeProvider builtin.'),
        postInitSQL: statements('SQL that runs once in the database postgres, as superuser.'),
        postInitTemplateSQL: statements('SQL that runs once in template1, as superuser, before the application database is made from it.'),
        postInitApplicationSQL: statements("SQL that runs once in the application's database, as superuser."),
        postInitSQLRefs: statementReferences('in the database postgres'),
        postInitTemplateSQLRefs: statementReferences('in template1'),
        postInitApplicationSQLRefs: statementReferences("in the application's database"),
      },
    },
  },
};

/** Of spec.bootstrap.initdb: what initdb is told of encoding and locales. */
export const LOCALE_FIELDS = [
  'encoding',
  'locale',
  'localeCollate',
  'localeCType',
  'localeProvider',
  'icuLocale',
  'icuRules',
  'builtinLocale',
] as const;

/** What a database system is made with, and keeps; statements and references to Secrets count the first time alone, and may go later. */
const KEPT_OF_INITDB = ['database', 'owner', ...LOCALE_FIELDS] as const;

/** Until the volume holds a database the beginning can be corrected; then it is what it was. */
export const keepsItsBeginning = {
  rule: `!has(oldSelf.status) || !has(oldSelf.status.storage) || !has(oldSelf.status.storage.initialized) || !oldSelf.status.storage.initialized || (${KEPT_OF_INITDB.map(
    (field) => {
      const [now, before] = ['self', 'oldSelf'].map((object) => `${object}.spec.bootstrap.initdb.${field}`);
      return `has(${now}) == has(${before}) && (!has(${now}) || ${now} == ${before})`;
    },
  ).join(' && ')})`,
  message:
    'the volume holds a database, which keeps the names, the encoding and the locale of spec.bootstrap.initdb that it was made with: put the old values back',
} as const;
