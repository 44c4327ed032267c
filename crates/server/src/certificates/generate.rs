//! New certificates: a CA, and one certificate for all services, for both ends of a connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use pkcs8::PrivateKeyInfo;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};
use x509_parser::time::ASN1Time;

use super::CertificateError;
use super::bundle::pem;
use super::material::{CA_CERTIFICATE, CA_KEY, CERTIFICATE, KEY, Material, Names};
use crate::tls::Identity;

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;
const CA_NAME: &str = "KEDA";
const CA_ORGANIZATION: &str = "KEDAORG";

/// Makes a CA that is valid for ten years and a certificate that is valid for one. Takes some tenths of a second of CPU, for
/// two RSA keys of 2048 bits.
pub fn generate(names: &Names, now: Timestamp) -> Result<Material, CertificateError> {
    make(names, now).map_err(|error| CertificateError::Generate(error.to_string()))
}

fn make(names: &Names, now: Timestamp) -> Result<Material, Box<dyn std::error::Error + Send + Sync>> {
    let (ca_key, key) = (rsa_key()?, rsa_key()?);
    let ca_key_pem = pkcs1_pem(&ca_key)?;
    let ca = CertifiedIssuer::self_signed(authority(now)?, ca_key)?;
    let leaf = leaf(names, now)?.signed_by(&key, &ca)?;
    let (ca_pem, leaf_pem, key_pem) = (ca.as_ref().pem(), leaf.pem(), pkcs1_pem(&key)?);
    let identity = Identity::from_pem(leaf_pem.as_bytes(), key_pem.as_bytes(), ca_pem.as_bytes())?;
    let parts = [(CA_CERTIFICATE, ca_pem), (CA_KEY, ca_key_pem), (CERTIFICATE, leaf_pem), (KEY, key_pem)];
    let data = parts.map(|(key, pem)| (key.to_owned(), ByteString(pem.into_bytes())));
    Ok(Material { data: BTreeMap::from(data), identity: Arc::new(identity) })
}

fn authority(now: Timestamp) -> Result<CertificateParams, Box<dyn std::error::Error + Send + Sync>> {
    let mut params = valid_for(10 * YEAR, now, vec![CA_NAME.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, CA_NAME);
    params.distinguished_name.push(DnType::OrganizationName, CA_ORGANIZATION);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    Ok(params)
}

fn leaf(names: &Names, now: Timestamp) -> Result<CertificateParams, Box<dyn std::error::Error + Send + Sync>> {
    let mut params = valid_for(YEAR, now, names.all())?;
    params.distinguished_name.push(DnType::CommonName, names.operator.as_str());
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn valid_for(
    seconds: i64,
    now: Timestamp,
    names: Vec<String>,
) -> Result<CertificateParams, Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = ASN1Time::from_timestamp(now.as_second() - HOUR)?.to_datetime();
    params.not_after = ASN1Time::from_timestamp(now.as_second() + seconds)?.to_datetime();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    Ok(params)
}

fn rsa_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
}

/// The form of RSA keys that KEDA writes, and the only one that it reads back: a Secret of ours is good for it too.
fn pkcs1_pem(key: &KeyPair) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let info = PrivateKeyInfo::try_from(key.serialized_der()).map_err(|error| error.to_string())?;
    Ok(pem("RSA PRIVATE KEY", info.private_key))
}
