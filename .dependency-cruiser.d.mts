import type { IConfiguration } from 'dependency-cruiser';

declare const rules: Required<Pick<IConfiguration, 'forbidden' | 'options'>> & IConfiguration;
export default rules;
