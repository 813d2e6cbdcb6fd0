# WireGuard keys for the tests' machines, of each host of the lab in a mesh and its administrator. Everybody can read the private halves here: they are
# for tests only. The lab's own site file has other keys, whose private halves nobody kept.
{
  ana = {
    private = "MLWTbH9ckUTEPkGwuSFvtWohL/bxKhh/mR2KBfEAL3w=";
    public = "gvB5y3xVu33L1iZMhYdmMyAQR83pPxuRqdRFCm4KuCo=";
  };
  blade1 = {
    private = "sKY58yAeH7OrWxicDtdlyNDh4URUM7WWJTU27ixVAWU=";
    public = "xrQuFBEBCeoCORwuDmUBsokoqNIb9r4y7BXd5u0nRSU=";
  };
  blade2 = {
    private = "WF1W3SduAne2p24QJrlxwQ4tP2G+h1uiQz0ajVUpMVo=";
    public = "7NOqkKgyXvRfp9LrojRH6XQULYA/f08yIQndXMM9agk=";
  };
  blade3 = {
    private = "gOltGcdqIXkhap6We4yXGiF1muZsdzNtxUsXOKIOU2k=";
    public = "as0KCa8H8vF6KCTg3UBeLOJDzXA3rWSz6eirYhsUSQU=";
  };
  blade4 = {
    private = "OF3vHxGC+yFNkd9ze9lauYiwdcVma/q2EWe9kYzkn0A=";
    public = "hCP1MisKcsoW4Dy8De1vlALOnUxPwOlKNVtYpiKrQkw=";
  };
  controller1 = {
    private = "IOknJCjzSvZd6V57ogrogNx9GmVDEwz6yQQouGCix2w=";
    public = "A87YatM0c4r/ebs7myZLtK9VKQPU3DVi1otNC8c+hVQ=";
  };
  controller2 = {
    private = "OF4HiRPuGiIWwfa7Yxx/L9qWRp0a9+1M6gUOZD6yTVc=";
    public = "uKdidHpNwx8mZ1vvnT8GkBJf3W9gqExuBObcRhjUIAw=";
  };
  edge1 = {
    private = "uOzs0GcYYJgbACtyoKIwSFA8yYPqg4Kirq2N1dS6HmU=";
    public = "xWSbFg8CB8BxyrY5oVpfEV1pdMQuKKum2hJJfZHrrlM=";
  };
  edge2 = {
    private = "4GqAp/btDR6OOqxIoL2+nefL5IADVx8uAW9sHa9j9E8=";
    public = "sR/NUj/EKKBoSgh19q8pxweYM0ZZBdorG0pF9uyjpQY=";
  };
  ops1 = {
    private = "QHAWTQeY691VIJaBhPoJ1rX3sGAdGaxmzG/SNq8QWEs=";
    public = "SdYlrsMlaV0PhD/BllasGdHE4A5BxitLRmqjv9orZCU=";
  };
  ops2 = {
    private = "SAXYkYzv7nb8hnidl4tXJA4QPJjaECegjIvTANoRGV4=";
    public = "3WiMLsVrrUK4cOjGJ7tyQbZjVS5zyetNrj5AHfflZDE=";
  };
  storage1 = {
    private = "oCTh9e4fBNR49+7HrKdiWwpu/QfOuiRaDCDqan9jpkQ=";
    public = "0mof5QyYQzs+QKB7wQ3UvwFww6DDQvzHZRt6ITLAv0I=";
  };
  storage2 = {
    private = "QEpc+u+NPudR2cJd4U6cn0EqVYJ2y0VoifprtTAvkVM=";
    public = "st097sxM+Rqy2Q3kjEsUEPfAT7xXgww0mMUPN2W840c=";
  };
}
