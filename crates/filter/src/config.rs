//! The `[filter]` section of the exchanger's configuration.

use crate::{
    authentication::AuthenticationConfig, connection::config::ConnectionConfig,
    content::config::ContentConfig, report::ReportsConfig,
};
use chasqui_base::StartError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is believed of clients and messages.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is decided before the text of a message comes.
    pub connection: ConnectionConfig,
    /// SPF, DKIM, DMARC and ARC.
    pub authentication: AuthenticationConfig,
    /// Filters that read messages.
    pub content: ContentConfig,
    /// DMARC reports to the domains that ask for them. They leave by the relays that the exchanger's `relay` names.
    pub reports: ReportsConfig,
}

impl Config {
    /// Refuses values that the types let pass, with the key and how to mend it.
    ///
    /// # Errors
    /// The first such value.
    pub fn check(&self) -> Result<(), StartError> {
        self.connection.check()?;
        self.authentication.check("filter.authentication")?;
        self.content.check()?;
        self.reports.check("filter.reports")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_every_key_is_the_default() {
        let text = chasqui_base::config::example::<Config>("filter");
        let read: Config =
            chasqui_base::config::parse(&text, "example").unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(format!("{read:?}"), format!("{:?}", Config::default()));
        Config::default().check().unwrap();
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_key() {
        let refused = |text: &str, expected: &str| {
            let config: Config = chasqui_base::config::parse(text, "test").unwrap();
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(
            "[[connection.lists.address]]\nzone = 'bl.test'\ncodes = ['2001:db8::/32']\n",
            "lists.address.codes",
        );
        refused("[connection.lists]\nreject_score = 0\n", "filter.connection.lists");
        refused("[connection.greylist]\nentries = 0\n", "greylist.entries");
        refused("[connection.greylist]\nretry_window = '1m'\n", "greylist.retry_window");
        refused("[connection.rates]\nipv4_prefix = 33\n", "rates");
        refused("[content.spamassassin]\naddress = 'mail.test:783'\n", "spamassassin.address");
        refused("[authentication]\ntrusted_sealers = ['a b']\n", "filter.authentication.trusted_sealers");
    }
}
